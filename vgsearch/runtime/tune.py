"""The sweep itself: Ray Tune runs the trials that the study proposes, and the ledger keeps what happened."""

import json
import logging
import time
from typing import Any

import ray
import yaml
from ray import tune

from vgsearch.artifacts import Experiment
from vgsearch.ledger import Ledger, SweepRecord
from vgsearch.retention import CheckpointDisk, told_size
from vgsearch.runtime.cluster import Resources
from vgsearch.runtime.evaluation import FloorTask
from vgsearch.runtime.search import LookScheduler, Proposal, StudySearcher, open_study, reported
from vgsearch.runtime.trial import Inputs, TrialSpec
from vgsearch.sweep import Sweep
from vgsearch.terminal import SweepView

# A trial whose process dies starts once more from its newest checkpoint.
MAX_PROCESS_FAILURES = 1


class Driver:
    """The one writer of a sweep's ledger; tells the view what changes."""

    def __init__(self, experiment: Experiment, sweep: Sweep, inputs: Inputs, ledger: Ledger, view: SweepView) -> None:
        self.experiment, self.sweep, self.inputs, self.ledger, self.view = experiment, sweep, inputs, ledger, view
        self._disk = CheckpointDisk(experiment, ledger, sweep.disk_budget_bytes)
        hours = sweep.time_budget_hours
        self._deadline = None if hours is None else time.monotonic() + hours * 3600

    def begin(self, proposal: Proposal) -> dict[str, Any] | None:
        if self.stopping:
            return None
        config = self.sweep.run_config(proposal.overrides, proposal.index)
        trial_id = self.sweep.trial_id(config, proposal.index)
        folder = self.experiment.trial(trial_id)
        folder.folder.mkdir(parents=True, exist_ok=True)
        folder.config.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
        spec = TrialSpec(
            trial_id=trial_id,
            folder=str(folder.folder),
            config=config.model_dump(mode="json"),
            hyperparameters=proposal.overrides,
            stop_request=str(self.experiment.stop_request),
            inputs=self.inputs,
            keep=self.sweep.keep,
        )
        self._record("trial_started", trial=trial_id, index=proposal.index, overrides=proposal.overrides,
                     is_paper_point=proposal.is_paper_point, n_steps=config.loop.n_steps)  # fmt: skip
        return spec.to_parameters()

    def progressed(self, parameters: dict[str, Any], result: dict[str, Any]) -> None:
        trial = parameters["trial_id"]
        if "look" in result and "end" not in result:
            self._record("look", trial=trial, step=result["step"], look=result["look"],
                         losses=reported(result, "losses"), health=json.loads(result["health"]))  # fmt: skip
            self._keep_disk_budget(trial)
        elif "end" not in result:
            self.ledger.record.trials[trial].step = result["step"]
            self.ledger.record.trials[trial].losses = reported(result, "losses")
        if self._deadline is not None and time.monotonic() > self._deadline:
            self.experiment.stop_request.touch()

    def ended(self, parameters: dict[str, Any], end: str, result: dict[str, Any]) -> None:
        trial = parameters["trial_id"]
        if end == "done":
            fields = {"scores": reported(result, "scores"), "score": json.loads(result["score"])}
        else:
            # Without a report of its own end, a trial was pruned, or its process failed beyond its retries.
            fields = {
                "reason": result.get("reason", "failed again when retried; see log.txt" if end == "failed" else "")
            }
        step = {"step": result["step"]} if "step" in result else {}
        self._record("trial_ended", trial=trial, state=end, **step, **fields)
        record = self.ledger.record.trials[trial]
        told = ("trial_id", "state", "reason", "step", "seconds", "scores", "score", "health")
        status = {name: getattr(record, name) for name in told}
        self.experiment.trial(trial).status.write_text(json.dumps(status, indent=1) + "\n")
        self._keep_disk_budget(trial)

    def _keep_disk_budget(self, trial: str) -> None:
        """After `trial` wrote: drops checkpoints of the worst ended trials; asks to stop where that is not enough."""
        if self.sweep.disk_budget_bytes is None:
            return
        self._disk.measure(trial)
        budget = f"--disk-budget {told_size(self.sweep.disk_budget_bytes)}"
        for worst, _ in list(self._disk.to_drop()):
            self.view.tell(self._disk.drop(worst, budget))
        if self._disk.is_exceeded and not self.stopping:
            why = f"the checkpoints that must stay take {told_size(self._disk.needed)}, more than {budget}; "
            why += f"to go on, raise disk_budget_bytes in {self.experiment.sweep.name} and resume"
            self._record("disk_budget_reached", why=why)
            self.experiment.stop_request.touch()

    def await_floor(self, floor: FloorTask) -> None:
        """Records the floor when it is measured, unless the sweep is asked to stop before; a floor that fails says why."""
        while not self.stopping:
            try:
                score = floor.result(timeout=0.5)
            except ray.exceptions.RayTaskError as error:
                score = {"reason": f"the floor could not be measured: {error.cause}"}
            if score is not None:
                self._record("floor", score=score)
                return

    def _record(self, event: str, **fields: Any) -> None:
        self.view.tell(self.ledger.append(event, **fields))

    @property
    def stopping(self) -> bool:
        return self.experiment.stop_request.exists()


def run_trials(driver: Driver, waiting: list[Proposal], cluster: Resources) -> SweepRecord:
    """Runs what `waiting` holds and then what the study proposes, until the sweep has its trials or is asked to stop."""
    sweep, experiment = driver.sweep, driver.experiment
    n_fit = cluster.max_concurrent(sweep.n_workers, sweep.gpus_per_worker, driver.inputs.reserved_cpus)
    searcher = StudySearcher(open_study(experiment.study, sweep), sweep, waiting, driver)
    trainable, callbacks, resources = _executor(sweep)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    tune.Tuner(
        tune.with_resources(trainable, resources),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=LookScheduler(searcher),
            num_samples=-1,
            max_concurrent_trials=min(n_fit, sweep.max_concurrent or n_fit),
            reuse_actors=sweep.n_workers == 1,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(experiment.ray),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=MAX_PROCESS_FAILURES),
            callbacks=callbacks,
        ),
    ).fit()
    return driver.ledger.record


def _executor(sweep: Sweep) -> tuple[Any, list[tune.Callback], dict[str, float]]:
    """The trainable of the sweep, the Tune callbacks it needs and the resources of the trial's own process."""
    if sweep.n_workers == 1:
        from vgsearch.runtime.trial import inline_trial

        return inline_trial, [], {"cpu": 1, "gpu": sweep.gpus_per_worker}
    from vgsearch.runtime.train import PlacementGroupReaper, ray_train_trial

    # The workers have resources of their own. A trial must ask for something: one byte leaves them every CPU.
    return ray_train_trial, [PlacementGroupReaper()], {"memory": 1}

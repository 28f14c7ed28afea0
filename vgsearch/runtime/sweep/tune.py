"""The sweep itself: Ray Tune runs the trials that the study proposes, and the ledger keeps what happened."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import yaml
from ray import cloudpickle, tune
from ray.tune.experiment import Trial

from vgsearch.experiment.ledger import Ledger, SweepRecord, read_events
from vgsearch.experiment.objective import compared_scores
from vgsearch.experiment.paths import Experiment, TrialFolder
from vgsearch.experiment.retention import CheckpointDisk, told_size
from vgsearch.experiment.tensorboard import write_columns
from vgsearch.runtime.cluster.cluster import Resources
from vgsearch.runtime.judging.prepare import FloorTask
from vgsearch.runtime.study.population import successor
from vgsearch.runtime.study.proposal import Proposal
from vgsearch.runtime.study.replay import study_of
from vgsearch.runtime.study.searcher import LookScheduler, StudySearcher, reported
from vgsearch.runtime.sweep.executors import inline_trial
from vgsearch.runtime.sweep.failures import end_of_process, full_disk, oom_kills
from vgsearch.runtime.sweep.placement_groups import PlacementGroupReaper
from vgsearch.runtime.sweep.ray_train import ray_train_trial
from vgsearch.runtime.sweep.resuming import at_half_the_batch
from vgsearch.runtime.sweep.retries import MAX_FAILURES, Retries
from vgsearch.runtime.sweep.trial import Inputs, TrialSpec
from vgsearch.runtime.sweep.watchdog import Watchdog
from vgsearch.space.sweep import Sweep
from vgsearch.terminal.sweep_table import SweepView
from vgsearch.terminal.words import shown
from videogan.storage.atomic import write_atomically

WITH_LOG = ("failed", "out_of_memory", "stalled", "lost")
BYTES_OF_LOG = 2000


class DiskFull(RuntimeError):
    """The sweep's own files found no space; says how to go on."""


@dataclass(frozen=True)
class Executor:
    """What runs a trial: its trainable, the resources of the trial's own process, the Tune callbacks it needs."""

    trainable: Callable[[dict[str, Any]], None]
    resources: dict[str, float]
    callbacks: tuple[tune.Callback, ...] = ()


class Driver:
    """The one writer of a sweep's ledger; tells the view what changes."""

    def __init__(self, experiment: Experiment, sweep: Sweep, inputs: Inputs, ledger: Ledger, view: SweepView) -> None:
        self.experiment, self.sweep, self.inputs, self.ledger, self.view = experiment, sweep, inputs, ledger, view
        # Only with a budget: it looks at each trial's folder, which on an object store is a request.
        self._disk = CheckpointDisk(experiment, ledger, sweep.disk_budget_bytes) if sweep.disk_budget_bytes else None
        hours = sweep.time_budget_hours
        self._deadline = None if hours is None else time.monotonic() + hours * 3600
        self._began: dict[str, float] = {}
        self.halted = ""
        self.floor: FloorTask | None = None
        """Measured beside the trials, and recorded when it is there: an interrupted sweep does not measure it again."""

    @property
    def record(self) -> SweepRecord:
        """What the ledger says of the trials that this driver runs."""
        return self.ledger.record

    def name_of(self, proposal: Proposal) -> str:
        """A trial keeps the name that its proposal gave it, whatever a retry changes."""
        return self.sweep.trial_id(self.sweep.run_config(proposal.overrides, proposal.index), proposal.index)

    def folder_of(self, trial: str) -> TrialFolder:
        return self.experiment.trial(trial)

    def begin(self, proposal: Proposal) -> dict[str, Any] | None:
        self.experiment.refuse_lost()
        if self.stopping:
            return None
        config = self.sweep.run_config(proposal.overrides, proposal.index, proposal.changed)
        trial_id = self.name_of(proposal)
        folder = self.folder_of(trial_id)
        if proposal.anew:
            folder.set_aside()
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        write_atomically(folder.config, lambda stream: stream.write(text.encode()))
        folder.working_copy.push(lambda name: name == folder.config.name)
        spec = TrialSpec(
            trial_id=trial_id,
            folder=str(folder.place),
            config=config.model_dump(mode="json"),
            hyperparameters=proposal.overrides,
            stop_request=str(self.experiment.stop_request),
            inputs=self.inputs,
            keep=self.sweep.keep,
            n_seeds=self.sweep.seeds_per_trial,
        )
        parent = self._inherited(folder, proposal)
        self._record("trial_started", trial=trial_id, index=proposal.index, overrides=proposal.overrides,
                     is_paper_point=proposal.is_paper_point, n_steps=config.loop.n_steps, parent=parent,
                     changed=proposal.changed, anew=proposal.anew)  # fmt: skip
        self._began[trial_id] = time.monotonic()
        return spec.to_parameters()

    def successor(self, index: int) -> Proposal | None:
        """The trial after those of a population, where the sweep trains one."""
        return successor(self.record, self.sweep, index)

    def _inherited(self, folder: TrialFolder, proposal: Proposal) -> dict[str, Any] | None:
        """Gives a trial that has no checkpoint yet its parent's newest; what the ledger says of it."""
        if proposal.parent is None:
            return None
        parent = next(trial for trial in self.record.trials.values() if trial.index == proposal.parent)
        step = folder.inherit(self.folder_of(parent.trial_id), below=parent.n_steps)
        return None if step is None else {"trial": parent.trial_id, "index": parent.index, "step": step}

    def progressed(self, parameters: dict[str, Any], result: dict[str, Any]) -> None:
        self.experiment.refuse_lost()
        trial, step, losses = parameters["trial_id"], result["step"], reported(result, "losses")
        record = self.record.trials[trial]
        if "look" in result and "end" not in result:
            # A trial that goes on tells its looks again, for a killed driver may not have heard the last.
            if step not in record.looks:
                told = {"step": step, "look": result["look"], "losses": losses, "health": json.loads(result["health"])}
                self._record("look", trial=trial, **told, seconds=self._seconds_of(trial))
            self._keep_disk_budget(trial)
        elif "end" not in result:
            record.step, record.losses = step, losses
        self._take_floor()
        if (self._deadline is not None and time.monotonic() > self._deadline) or self.stopping:
            self.experiment.ask_to_stop()

    def ended(self, parameters: dict[str, Any], end: str, result: dict[str, Any]) -> Proposal | None:
        """Records an end; returns the trial at half its batch where it ran out of memory for the first time."""
        trial = parameters["trial_id"]
        if end == "done":
            fields = {"scores": reported(result, "scores"), "score": json.loads(result["score"])}
        else:
            fields = {"reason": result.get("reason", "")}
        if end in WITH_LOG:
            fields["log_tail"] = _tail(self.folder_of(trial))
        if result.get("halts"):
            self.halt(fields["reason"])
        step = {"step": result["step"]} if "step" in result else {}
        self._record("trial_ended", trial=trial, state=end, **step, **fields, seconds=self._seconds_of(trial))
        record = self.record.trials[trial]
        told = ("trial_id", "state", "reason", "step", "seconds", "scores", "score", "health", "changed", "log_tail")
        text = json.dumps({name: getattr(record, name) for name in told}, indent=1) + "\n"
        folder = self.folder_of(trial)
        write_atomically(folder.status, lambda stream: stream.write(text.encode()))
        folder.working_copy.push(lambda name: name == folder.status.name)
        self._keep_disk_budget(trial)
        return at_half_the_batch(record, self.sweep)

    def halt(self, reason: str) -> None:
        """Asks every trial to save and end, for no other would fare better."""
        self.halted = reason
        self.experiment.ask_to_stop()

    def _seconds_of(self, trial: str) -> float:
        """How long the trial's newest attempt has run, by a clock that nobody sets."""
        return time.monotonic() - self._began[trial]

    def _keep_disk_budget(self, trial: str) -> None:
        """After `trial` wrote: drops checkpoints of the worst ended trials; asks to stop where that is not enough."""
        if self._disk is None:
            return
        self._disk.measure(trial)
        budget = f"--disk-budget {told_size(self.sweep.disk_budget_bytes)}"
        for worst, _ in list(self._disk.to_drop()):
            self.view.tell(self._disk.drop(worst, budget))
        if self._disk.is_exceeded and not self.stopping:
            why = f"the checkpoints that must stay take {told_size(self._disk.needed)}, more than {budget}; "
            why += f"to go on, raise disk_budget_bytes in {self.experiment.sweep.name} and resume"
            self._record("disk_budget_reached", why=why)
            self.experiment.ask_to_stop()

    def await_floor(self) -> None:
        """Until the floor is measured, unless the sweep is asked to stop before."""
        while not self.stopping and not self._take_floor(timeout=0.5):
            pass

    def _take_floor(self, timeout: float = 0.0) -> bool:
        """Records the floor once it is measured; one that failed says why. Whether none is awaited any more."""
        if self.floor is None:
            return True
        try:
            score = self.floor.result(timeout)
        except ray.exceptions.RayTaskError as error:
            score = {"reason": f"the floor could not be measured: {error.cause}"}
        if score is None:
            return False
        self.floor = None
        self._record("floor", score=score)
        return True

    def _record(self, event: str, **fields: Any) -> None:
        self.view.tell(self.ledger.append(event, **fields))

    @property
    def stopping(self) -> bool:
        return bool(self.halted) or self.experiment.is_stopping


def run_trials(
    driver: Driver, waiting: list[Proposal], cluster: Resources, executor: Executor | None = None
) -> SweepRecord:
    """Runs what `waiting` holds and then what the study proposes, until the sweep has its trials or is asked to stop.

    Raises DiskFull where the driver's own files found no space.
    """
    sweep, experiment = driver.sweep, driver.experiment
    if not any(experiment.tensorboard.glob("*")):
        searched = {path: domain.ends for path, domain in sweep.domains.items()}
        write_columns(experiment.tensorboard, searched, compared_scores(sweep.objectives()))
        experiment.working_copy.push(lambda name: name.startswith(f"{experiment.tensorboard.name}/"))
    study = study_of(experiment.study, sweep, read_events(experiment.ledger))
    searcher = StudySearcher(study, sweep, waiting, driver, driver.record.next_index, driver.successor)
    run_searcher(searcher, driver, cluster, executor)
    return driver.record


def run_searcher(searcher: StudySearcher, driver: Driver, cluster: Resources, executor: Executor | None = None) -> None:
    """Runs what the searcher proposes, as many trials side by side as fit, until it has no more; raises DiskFull."""
    sweep, experiment, watchdog = driver.sweep, driver.experiment, Watchdog()
    executor = executor or _executor(sweep)
    n_fit = cluster.max_concurrent(sweep.n_workers, sweep.gpus_per_worker, driver.inputs.reserved_cpus)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    tuner = tune.Tuner(
        tune.with_resources(executor.trainable, executor.resources),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=LookScheduler(searcher, _teller(watchdog)),
            num_samples=-1,
            max_concurrent_trials=min(n_fit, sweep.max_concurrent or n_fit),
            reuse_actors=sweep.n_workers == 1,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(experiment.ray),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            callbacks=[*executor.callbacks, Retries(), watchdog],
        ),
    )
    try:
        tuner.fit()
    except Exception as error:
        if not full_disk(searcher.broken or error):
            raise
        raise DiskFull(
            f"{experiment.folder}: no space left; nothing finished is lost. "
            f"Free some, then: vgsearch resume {shown(experiment.place)}"
        ) from error


def _teller(watchdog: Watchdog) -> Callable[[Trial], dict[str, Any]]:
    """How a trial ended whose process failed: as the watchdog says, or as its error does."""
    kills_before = oom_kills()

    def end_of(trial: Trial) -> dict[str, Any]:
        if reason := watchdog.stalled.get(trial.trial_id):
            return {"end": "stalled", "reason": reason}
        path = trial.pickled_error_file
        # Written by this process a moment ago.
        error = cloudpickle.loads(Path(path).read_bytes()) if path and Path(path).exists() else None
        return end_of_process(error, kills_before)

    return end_of


def _tail(folder: TrialFolder) -> str:
    """The last lines of a trial's log."""
    path = folder.log
    folder.working_copy.pull(lambda name: name == path.name)
    if not path.exists():
        return ""
    with open(path, "rb") as stream:
        stream.seek(max(0, path.stat().st_size - BYTES_OF_LOG))
        return stream.read().decode(errors="replace")


def _executor(sweep: Sweep) -> Executor:
    if sweep.n_workers == 1:
        return Executor(inline_trial, {"cpu": 1, "gpu": sweep.gpus_per_worker})
    # The workers have resources of their own. A trial must ask for something: one byte leaves them every CPU.
    return Executor(ray_train_trial, {"memory": 1}, (PlacementGroupReaper(),))

"""The driver of a sweep: it starts trials, and writes what happens to the ledger."""

import json
import time
from collections.abc import Callable
from typing import Any

import ray

from vgsearch.experiment.end import End, reported
from vgsearch.experiment.ledger import ENOUGH, GPU_LEFT_OUT, UNFINISHED, Event, Ledger, SweepRecord, TrialRecord
from vgsearch.experiment.paths import Experiment, TrialFolder
from vgsearch.experiment.retention import CheckpointDisk
from vgsearch.experiment.score import Floor
from vgsearch.experiment.stop_when import StopWhen
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.judging.prepare import FLOOR, FloorTask
from vgsearch.runtime.study.population import successor
from vgsearch.runtime.study.proposal import Proposal
from vgsearch.runtime.sweep.board import row
from vgsearch.runtime.sweep.resuming import at_half_the_batch
from vgsearch.runtime.sweep.spec import TrialSpec
from vgsearch.runtime.sweep.stop_request import StopRequest
from vgsearch.runtime.waits.failed_task import why_failed
from vgsearch.runtime.waits.waiting import waiting
from vgsearch.runtime.waits.watch import state_of_tasks
from vgsearch.space.sweep import Sweep
from vgsearch.space.yaml_text import write_yaml
from vgsearch.terminal.sweep_table import SweepView
from vgsearch.terminal.words import size, typed
from videogan.storage.atomic import write_atomically
from videogan.training.scored_run import ScoredRun

WITH_LOG = ("failed", "out_of_memory", "stalled", "lost")
"""The states whose events hold the end of the trial's log."""
BYTES_OF_LOG = 2000
IN_STATUS = ("trial_id", "state", "reason", "step", "seconds", "scores", "score", "health", "changed", "log_tail")


class Driver:
    """The only writer of a sweep's ledger; shows every event in the view."""

    def __init__(
        self,
        experiment: Experiment,
        sweep: Sweep,
        inputs: Inputs,
        ledger: Ledger,
        view: SweepView,
        follow: Callable[[Event], None] = lambda event: None,
    ) -> None:
        """`follow` is called with each event of a trial and must return at once."""
        self.experiment, self.sweep, self.inputs, self.ledger, self.view = experiment, sweep, inputs, ledger, view
        self._follow = follow
        # Only with a budget: it looks at each trial's folder, which on an object store is a request.
        self._disk = CheckpointDisk(experiment, ledger, sweep.disk_budget_bytes) if sweep.disk_budget_bytes else None
        hours = sweep.time_budget_hours
        self._deadline = None if hours is None else time.monotonic() + hours * 3600
        self._began: dict[str, float] = {}
        self._asked_from_outside = StopRequest(str(experiment.stop_request))
        self.halted = ""
        """Why the sweep was stopped, if no trial could have continued."""
        self.enough = ""
        """Why no more trials are to start, by the sweep's `stop_when`."""
        self.floor: FloorTask | None = None
        """Runs beside the trials; None once its result is in the ledger, so that a resumed sweep does not repeat it."""

    @property
    def record(self) -> SweepRecord:
        """The ledger's record of the trials that this driver runs."""
        return self.ledger.record

    def name_of(self, proposal: Proposal) -> str:
        """The trial's id, which a retry with changed settings keeps."""
        return self.sweep.trial_id(self.sweep.run_config(proposal.overrides, proposal.index), proposal.index)

    def folder_of(self, trial: str) -> TrialFolder:
        return self.experiment.trial(trial)

    def begin(self, proposal: Proposal) -> dict[str, Any] | None:
        """Prepare a trial's folder and record its start; returns its parameters, or None if the sweep is stopping."""
        self.experiment.refuse_lost()
        if self.stopping or self._has_found_enough():
            return None
        config = self.sweep.run_config(proposal.overrides, proposal.index, proposal.changed)
        trial_id = self.name_of(proposal)
        folder = self.folder_of(trial_id)
        if proposal.anew:
            folder.set_aside()
        folder.stop_request.unlink(missing_ok=True)  # it asked an earlier attempt
        text = write_yaml(config.model_dump(mode="json"))
        write_atomically(folder.config, lambda stream: stream.write(text.encode()))
        folder.working_copy.push(lambda name: name == folder.config.name)
        parent = self._inherited(folder, proposal)
        self._record("trial_started", trial=trial_id, index=proposal.index, overrides=proposal.overrides,
                     is_paper_point=proposal.is_paper_point, n_steps=config.n_steps, parent=parent,
                     changed=proposal.changed, anew=proposal.anew)  # fmt: skip
        self._began[trial_id] = time.monotonic()
        return self._spec(trial_id, folder, config, proposal).to_parameters()

    def _spec(self, trial_id: str, folder: TrialFolder, config: ScoredRun, proposal: Proposal) -> TrialSpec:
        return TrialSpec(
            trial_id=trial_id,
            folder=str(folder.place),
            config=config.model_dump(mode="json"),
            hyperparameters=row(self.sweep, proposal.overrides),
            class_names=tuple(self.sweep.class_names),
            stop_request=str(self.experiment.stop_request),
            own_stop_request=str(folder.stop_request),
            inputs=self.inputs,
            keep=self.sweep.keep,
            n_classes=self.sweep.n_classes,
            n_seeds=self.sweep.seeds_per_trial,
            to_beat=self._to_beat() if self.sweep.racing else None,
        )

    def _to_beat(self) -> float | None:
        best, objective = self.record.best, self.record.objectives[0]
        return None if best is None else objective.worse_end(best.score.interval(objective.name))

    def successor(self, index: int) -> Proposal | None:
        """The next trial of population based training, after its first population; None without such training."""
        return successor(self.record, self.sweep, index)

    def _inherited(self, folder: TrialFolder, proposal: Proposal) -> dict[str, Any] | None:
        """Give a trial without a checkpoint its parent's newest; returns what the ledger records of it."""
        if proposal.parent is None:
            return None
        parent = next(trial for trial in self.record.trials.values() if trial.index == proposal.parent)
        step = folder.inherit(self.folder_of(parent.trial_id), below=parent.n_steps)
        return None if step is None else {"trial": parent.trial_id, "index": parent.index, "step": step}

    def progressed(self, parameters: dict[str, Any], result: dict[str, Any]) -> None:
        """Record what a trial reported; ask all trials to stop once the sweep's time is over."""
        self.experiment.refuse_lost()
        trial, step, losses = parameters["trial_id"], result["step"], reported(result, "losses")
        record = self.record.trials[trial]
        if "look" in result and "end" not in result:
            # A resumed trial reports its looks again, since a killed driver may have missed the last.
            if step not in record.looks:
                look = {"look": result["look"], "losses": losses, "health": json.loads(result["health"])}
                self._record("look", trial=trial, step=step, **look, seconds=self._seconds_of(trial))
            self._keep_disk_budget(trial)
        elif "end" not in result:
            record.step, record.losses, record.phase = step, losses, result.get("phase", "")
        self._take_floor()
        is_over = self._deadline is not None and time.monotonic() > self._deadline
        if is_over or self.stopping or self._gpu_hours_are_over():
            self.experiment.ask_to_stop()

    def ended(self, parameters: dict[str, Any], end: End) -> Proposal | None:
        """Record an end; returns the trial if it never began, or at half its batch if that had run out of memory."""
        trial = parameters["trial_id"]
        if end.halts:
            self.halt(end.reason)
        log = {"log_tail": _tail(self.folder_of(trial))} if end.state in WITH_LOG else {}
        self._record("trial_ended", trial=trial, **end.to_event(), **log, seconds=self._seconds_of(trial))
        if end.state == "interrupted" and not self.stopping and self._asked_from_outside.exists:
            self.experiment.ask_to_stop()
        record = self.record.trials[trial]
        self._write_status(record)
        self._keep_disk_budget(trial)
        return Proposal.again(record) if end.never_began else at_half_the_batch(record, self.sweep)

    def _has_found_enough(self) -> bool:
        """Whether no more trials are to start, by `stop_when`; recorded once."""
        if self.enough or not (why := StopWhen.parse(self.sweep.stop_when).met(self.record)):
            return bool(self.enough)
        self.enough = why
        self._record(ENOUGH, why=why)
        return True

    def _gpu_hours_are_over(self) -> bool:
        """Whether all attempts of all trials, also of earlier drivers, took the GPU-hours of the sweep."""
        if self.sweep.gpu_hours is None:
            return False
        trials = self.record.trials.values()
        seconds = sum(trial.seconds for trial in trials)
        seconds += sum(self._seconds_of(trial.trial_id) for trial in trials if trial.state == "running")
        return seconds * self.sweep.n_workers * self.sweep.gpus_per_worker >= 3600 * self.sweep.gpu_hours

    def _write_status(self, record: TrialRecord) -> None:
        text, folder = _status_of(record), self.folder_of(record.trial_id)
        write_atomically(folder.status, lambda stream: stream.write(text))
        folder.working_copy.push(lambda name: name == folder.status.name)

    def make_up_statuses(self) -> None:
        """Write each status.json that is missing or damaged: a driver may be killed between an end and its file."""
        for record in self.record.trials.values():
            folder = self.folder_of(record.trial_id)
            written = folder.place / folder.status.name
            if record.state in UNFINISHED or (written.is_file() and written.read_bytes() == _status_of(record)):
                continue
            self._write_status(record)

    def left_out(self, why: str) -> None:
        """Record that a GPU is used no more."""
        self._record(GPU_LEFT_OUT, why=why)

    def halt(self, reason: str) -> None:
        """Ask every trial to save and end, because the same failure would end each of them."""
        self.halted = reason
        self.experiment.ask_to_stop()

    def _seconds_of(self, trial: str) -> float:
        """How long the trial's newest attempt has run, by the monotonic clock."""
        return time.monotonic() - self._began[trial]

    def _keep_disk_budget(self, trial: str) -> None:
        """After `trial` wrote: delete checkpoints of the worst ended trials; stop the sweep if that is not enough."""
        if self._disk is None or self._disk.budget is None:
            return
        self._disk.measure(trial)
        budget = f"--disk-budget {size(self._disk.budget)}"
        for worst, _ in list(self._disk.to_drop()):
            self.view.print_event(self._disk.drop(worst, budget))
        if self._disk.is_exceeded and not self.stopping:
            why = f"the checkpoints that are always kept take {size(self._disk.needed)}, more than {budget}; "
            why += f"go on with vgsearch resume {typed(self.experiment.place)} --disk-budget SIZE"
            self._record("disk_budget_reached", why=why)
            self.experiment.ask_to_stop()

    def await_floor(self) -> None:
        """Wait until the floor is measured, or the sweep is asked to stop."""
        with waiting(FLOOR, "it ends when that is measured; Ctrl-C stops", state_of_tasks(FLOOR)):
            while not self.stopping and not self._take_floor(timeout=0.5):
                pass

    def _take_floor(self, timeout: float = 0.0) -> bool:
        """Record the floor, or why it failed, once it is measured; returns whether the wait is over."""
        if self.floor is None:
            return True
        try:
            score = self.floor.result(timeout)
            floor = None if score is None else Floor(score)
        except ray.exceptions.RayError as error:
            floor = Floor(reason=f"the floor could not be measured: {why_failed(error)}")
        if floor is None:
            return False
        self.floor = None
        self._record("floor", score=floor.to_json())
        return True

    def _record(self, event: str, **fields: Any) -> None:
        entry = self.ledger.append(event, **fields)
        self.view.print_event(entry)
        self._follow(entry)

    @property
    def stopping(self) -> bool:
        return bool(self.halted) or self.experiment.is_stopping


def _status_of(record: TrialRecord) -> bytes:
    """The content of the status.json of a trial."""
    values = record.to_json()
    return (json.dumps({name: values[name] for name in IN_STATUS}, indent=1) + "\n").encode()


def _tail(folder: TrialFolder) -> str:
    """The last lines of a trial's log."""
    path = folder.log
    folder.working_copy.pull(lambda name: name == path.name)
    if not path.is_file():
        return ""
    with open(path, "rb") as stream:
        stream.seek(max(0, path.stat().st_size - BYTES_OF_LOG))
        return stream.read().decode(errors="replace")

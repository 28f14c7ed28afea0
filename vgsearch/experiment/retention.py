"""Which checkpoints a sweep deletes to keep its disk budget: those of the worst ended trials first."""

import math
from collections.abc import Iterator
from pathlib import Path

from vgsearch.experiment.ledger import UNFINISHED, Event, Ledger, SweepRecord, TrialRecord
from vgsearch.experiment.paths import Experiment
from vgsearch.object_store.working_copy import WorkingCopy

# Of ended trials the least valuable are deleted first; among equals the one with the worse score or look.
_WORTH = {"pruned": 1, "unscored": 2, "done": 3}


def droppable(record: SweepRecord) -> list[TrialRecord]:
    """The trials whose checkpoints may be deleted, the least valuable first.

    Never the best trial or those of the front, the paper's points, or trials that run or continue when resumed.
    """
    front = {trial.trial_id for trial in record.front}
    ended = [
        trial
        for trial in list(record.trials.values())
        if trial.state not in UNFINISHED and not trial.is_paper_point and trial.trial_id not in front
    ]
    return sorted(ended, key=lambda trial: _worth(trial, record))


def _worth(trial: TrialRecord, record: SweepRecord) -> tuple[int, float, int]:
    first = record.objectives[0]
    if trial.state == "done" and first.name in trial.scores:
        value = -first.loss(trial.scores)
    else:
        value = trial.look if trial.looks else -math.inf
    return _WORTH.get(trial.state, 0), value, trial.index


class CheckpointDisk:
    """The bytes of a sweep's checkpoints; deletes checkpoints to keep a budget, and records it in the ledger."""

    def __init__(self, experiment: Experiment, ledger: Ledger, budget: float | None = None) -> None:
        self._experiment, self._ledger, self.budget = experiment, ledger, budget
        self._bytes: dict[str, int] = {}
        self._largest = 0
        for trial_id in ledger.record.trials:
            self.measure(trial_id)

    def measure(self, trial_id: str) -> None:
        """Count one trial's bytes again."""
        sizes = self._experiment.trial(trial_id).checkpoint_sizes().values()
        self._bytes[trial_id] = sum(sizes)
        self._largest = max(self._largest, *sizes, 0)

    @property
    def used(self) -> int:
        """Bytes of all checkpoints."""
        return sum(self._bytes.values())

    @property
    def needed(self) -> int:
        """`used` and one more checkpoint for each running trial, which writes one before it deletes an older one."""
        return self.used + self._ledger.record.count("running") * self._largest

    def to_drop(self) -> Iterator[tuple[TrialRecord, int]]:
        """Trials and their bytes, the least valuable first, until the rest fits the budget; without a budget, all."""
        excess = math.inf if self.budget is None else self.needed - self.budget
        for trial in droppable(self._ledger.record) if excess > 0 else ():
            if excess <= 0:
                return
            if n_bytes := self._bytes.get(trial.trial_id, 0):
                excess -= n_bytes
                yield trial, n_bytes

    def drop(self, trial: TrialRecord, why: str) -> Event:
        """Delete a trial's checkpoints; returns the ledger's event."""
        folder = self._experiment.trial(trial.trial_id)
        # The ledger first: after a crash in between it must not promise checkpoints that do not exist.
        event = self._ledger.append(
            "checkpoints_dropped", trial=trial.trial_id, bytes=self._bytes[trial.trial_id], why=why
        )
        for path in {file.rpartition("/")[0] for file in folder.checkpoint_sizes()}:
            folder.working_copy.remove(path)
        self._bytes[trial.trial_id] = 0
        return event

    @property
    def is_exceeded(self) -> bool:
        return self.budget is not None and self.needed > self.budget


def ray_leftovers(experiment: Experiment) -> list[tuple[Path, int]]:
    """Folders of Ray's own bookkeeping and their bytes: nothing reads them once the driver has ended."""
    folders = [experiment.ray, *(trial / experiment.ray.name for trial in experiment.trials.glob("*"))]
    return [(folder, sum(WorkingCopy(folder).sizes().values())) for folder in folders if folder.is_dir()]

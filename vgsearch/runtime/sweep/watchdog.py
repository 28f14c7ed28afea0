"""Trials that went silent: nothing reported, nothing written, for far longer than trials of the sweep ever were before."""

import logging
import os
import time
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial

from vgsearch.experiment.paths import DRIVEN, TrialFolder
from vgsearch.terminal.words import duration
from videogan.storage.places import Place, RemotePath, StorageError

SECONDS_AT_LEAST = float(os.environ.get("VGSEARCH_STALLED_AFTER", 600))
"""Silence that is never called a stall; three times as much before a trial's first sign of life, when nodes may start."""
TIMES_LONGEST = 3
SECONDS_OF_A_CHECK = 10.0
SECONDS_OF_SILENCE = 60.0
"""Before files on an object store are asked for."""
LOGGER = logging.getLogger(__name__)


class Pulse:
    """One trial's signs of life. Time counts while the driver watches, so that a suspended one blames no trial."""

    def __init__(self, folder: TrialFolder, now: float) -> None:
        self._folder, self._names = folder, (folder.metrics.name, folder.log.name)
        self._sizes = self._read()
        self._checked, self._read_at, self.silent, self.has_begun = now, now, 0.0, False

    def beat(self) -> float:
        """A sign of life; returns how long there was none."""
        silent, self.silent, self.has_begun = self.silent, 0.0, True
        return silent

    def check(self, now: float) -> bool:
        """Counts the time since the last check; whether the trial's files grew meanwhile."""
        self.silent += min(now - self._checked, SECONDS_OF_A_CHECK)
        self._checked = now
        # On an object store each look is a request, and reports are signs enough while they come.
        is_early = self.silent < SECONDS_OF_SILENCE or now - self._read_at < SECONDS_OF_A_CHECK
        if is_early and isinstance(self._folder.place, RemotePath):
            return False
        self._read_at = now
        before, read = self._sizes, self._read()
        self._sizes = [size if size >= 0 else old for size, old in zip(read, before, strict=True)]
        return self._sizes != before

    def _read(self) -> list[int]:
        return [_size(self._folder.place / name) for name in self._names]


class Watchdog(tune.Callback):
    """Ends trials that stalled; `stalled` says why, by Ray Tune's trial id."""

    def __init__(self) -> None:
        self._longest = 0.0
        self._pulses: dict[str, Pulse] = {}
        self._checked = 0.0
        self.stalled: dict[str, str] = {}

    def on_trial_start(self, iteration: int, trials: list, trial: Trial, **info: Any) -> None:
        folder = TrialFolder.at(trial.config["folder"], DRIVEN)
        self._pulses[trial.trial_id] = Pulse(folder, time.monotonic())

    def on_trial_result(self, iteration: int, trials: list, trial: Trial, result: dict, **info: Any) -> None:
        if pulse := self._pulses.get(trial.trial_id):
            self._longest = max(self._longest, pulse.beat())

    def on_step_end(self, iteration: int, trials: list, **info: Any) -> None:
        """Looks at each running trial, at most once a second."""
        now = time.monotonic()
        if now - self._checked < 1:
            return
        self._checked = now
        for trial in trials:
            pulse = self._pulses.get(trial.trial_id)
            if trial.status != Trial.RUNNING or pulse is None:
                continue
            if pulse.check(now):
                self._longest = max(self._longest, pulse.beat())
            elif pulse.silent > self._patience(pulse):
                self._end(trial, pulse)

    def _patience(self, pulse: Pulse) -> float:
        return max(SECONDS_AT_LEAST * (1 if pulse.has_begun else 3), TIMES_LONGEST * self._longest)

    def _end(self, trial: Trial, pulse: Pulse) -> None:
        """Kills the trial's process; Ray Tune then tells of its death, and tries it no more."""
        begun = "no sign of life" if pulse.has_begun else "no sign of life at all"
        self.stalled[trial.trial_id] = (
            f"{begun} for {duration(pulse.silent)}; VGSEARCH_STALLED_AFTER=<seconds> waits longer"
        )
        trial.max_failures = 0
        del self._pulses[trial.trial_id]
        LOGGER.warning("%s: %s", trial.config["trial_id"], self.stalled[trial.trial_id])
        ray.kill(trial.temporary_state.ray_actor)


def _size(path: Place) -> int:
    try:
        if isinstance(path, RemotePath):
            stamp = path.stamp()
            return -1 if stamp is None else stamp.size
        return path.stat().st_size
    except (OSError, StorageError):
        return -1  # not there yet, or storage out of reach: no sign of life

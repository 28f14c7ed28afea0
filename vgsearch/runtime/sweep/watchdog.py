"""Ends trials that stalled: no report and no written file for far longer than any trial of the sweep before."""

import logging
import time
from collections.abc import Collection
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial

from vgsearch.experiment.paths import DRIVEN, TrialFolder
from vgsearch.runtime.waits.silence import SECONDS_AT_LEAST
from vgsearch.runtime.waits.waiting import Telling, tell
from vgsearch.runtime.waits.watch import not_started
from vgsearch.terminal.words import duration
from videogan.storage.places import Place, RemotePath, StorageError

TIMES_LONGEST = 3
SECONDS_OF_A_CHECK = 10.0
SECONDS_BEFORE_REQUESTS = 60.0
"""Seconds of silence before the sizes of files on an object store are requested."""
LOGGER = logging.getLogger(__name__)


class Pulse:
    """One trial's signs of life. Only time in which the driver watches counts, so a suspended driver ends no trial."""

    def __init__(self, folder: TrialFolder, now: float) -> None:
        self._folder, self._names = folder, (folder.metrics.name, folder.log.name)
        self._sizes = self._read()
        self._checked, self._read_at, self.silent, self.has_begun = now, now, 0.0, False

    def beat(self) -> float:
        """Note a sign of life; returns the seconds of silence before it."""
        silent, self.silent, self.has_begun = self.silent, 0.0, True
        return silent

    def check(self, now: float) -> bool:
        """Count the seconds since the last check; returns whether the trial's files grew in them."""
        self.silent += min(now - self._checked, SECONDS_OF_A_CHECK)
        self._checked = now
        # On an object store each check costs a request; while reports arrive, none is needed.
        is_early = self.silent < SECONDS_BEFORE_REQUESTS or now - self._read_at < SECONDS_OF_A_CHECK
        if is_early and isinstance(self._folder.place, RemotePath):
            return False
        self._read_at = now
        before, read = self._sizes, self._read()
        self._sizes = [size if size >= 0 else old for size, old in zip(read, before, strict=True)]
        return self._sizes != before

    def _read(self) -> list[int]:
        return [_n_bytes(self._folder.place / name) for name in self._names]


class Starts:
    """Tells while trials wait and none runs: other jobs hold the CPUs of a shared cluster, or nodes are starting."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._telling = Telling()

    def check(self, states: Collection[str], now: float) -> None:
        """Note the time, in seconds, if trials of these states wait and none runs."""
        if Trial.PENDING not in states or Trial.RUNNING in states:
            self._since, self._telling = None, Telling()
            return
        self._since = now if self._since is None else self._since
        if self._telling.is_due(now - self._since):
            tell(
                f"waiting for the first trial since {duration(now - self._since)}: {not_started()}; "
                "those reserved for it count as taken; it ends when its process has started; Ctrl-C stops"
            )


class Watchdog(tune.Callback):
    """Ends trials that stalled; `stalled` has the reasons, by Ray Tune's trial id."""

    def __init__(self) -> None:
        self._longest = 0.0
        self._pulses: dict[str, Pulse] = {}
        self._checked = 0.0
        self._starts = Starts()
        self.stalled: dict[str, str] = {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        folder = TrialFolder.at(trial.config["folder"], DRIVEN)
        self._pulses[trial.trial_id] = Pulse(folder, time.monotonic())

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any) -> None:
        if pulse := self._pulses.get(trial.trial_id):
            self._longest = max(self._longest, pulse.beat())

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Check each running trial, at most once a second."""
        now = time.monotonic()
        if now - self._checked < 1:
            return
        self._starts.check({trial.status for trial in trials}, now)
        self._checked = now
        for trial in trials:
            pulse = self._pulses.get(trial.trial_id)
            if trial.status != Trial.RUNNING or pulse is None:
                continue
            if pulse.check(now):
                self._longest = max(self._longest, pulse.beat())
            elif pulse.silent > self._limit(pulse):
                self._end(trial, pulse)

    def _limit(self, pulse: Pulse) -> float:
        """Seconds of silence after which the trial is ended; three times as long before the first sign.

        Its node may be starting.
        """
        return max(SECONDS_AT_LEAST * (1 if pulse.has_begun else 3), TIMES_LONGEST * self._longest)

    def _end(self, trial: Trial, pulse: Pulse) -> None:
        """Kill the trial's process; Ray Tune then reports its death, and does not retry it."""
        silence = "no sign of life" if pulse.has_begun else "no sign of life at all"
        self.stalled[trial.trial_id] = (
            f"{silence} for {duration(pulse.silent)}; VGSEARCH_STALLED_AFTER=<seconds> waits longer"
        )
        trial.max_failures = 0
        del self._pulses[trial.trial_id]
        LOGGER.warning("%s: %s", trial.config["trial_id"], self.stalled[trial.trial_id])
        if (actor := trial.temporary_state.ray_actor) is not None:
            ray.kill(actor)


def _n_bytes(path: Place) -> int:
    try:
        if isinstance(path, RemotePath):
            stamp = path.stamp()
            return -1 if stamp is None else stamp.size
        return path.stat().st_size
    except (OSError, StorageError):
        return -1  # no file yet, or unreachable storage: no sign of life

"""The ledger of a sweep: an append-only file of events that only the driver writes, and the state after them."""

import dataclasses
import errno
import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from vgsearch.experiment.end import KILLED, End
from vgsearch.experiment.event_fields import checked_event
from vgsearch.experiment.moved import MovedExperiment, refuse_moved
from vgsearch.experiment.names import checked_name
from vgsearch.experiment.objective import Objective, pareto_front, parsed
from vgsearch.experiment.paths import Experiment
from vgsearch.experiment.score import Floor, Score
from vgsearch.object_store.lease import ExperimentInUse
from vgsearch.object_store.ledger_segments import Segments
from vgsearch.object_store.retry import with_retries
from vgsearch.program.command import COMMAND
from videogan.config import ConfigurationError
from videogan.storage.atomic import sync_folder, write_atomically
from videogan.storage.places import Place, RemotePath, StorageError

UNFINISHED = ("running", "interrupted", KILLED)
CONFIRM = "confirm_"
"""Prefix of the events of runs that confirm a finished search."""
GPU_LEFT_OUT = "gpu_left_out"
"""The event of a GPU that failed; its `why` is for the user."""
ENOUGH = "enough"
"""The event of a search that starts no more trials, by `stop_when`; its `why` is for the user."""
Event = dict[str, Any]
"""One line of the ledger. Any: JSON."""


class DamagedLedger(ValueError):
    """A line of the ledger is not a valid event, other than a last one cut off by a crash."""


@dataclass
class TrialRecord:
    """The state of one trial, as the ledger's events add up to it."""

    trial_id: str
    index: int
    overrides: dict[str, Any]
    state: str = "running"
    is_paper_point: bool = False
    step: int = 0
    n_steps: int = 0
    looks: dict[int, float] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    score: Score = field(default_factory=Score)
    scores: dict[str, float] = field(default_factory=dict)
    """The value of each score, and the cost, by name."""
    reason: str = ""
    log_tail: str = ""
    """The end of its log, if it ended by an error."""
    health: dict[str, Any] | None = None
    """The newest look's "states" (problems, the worst first, with their evidence) and "vitals" (what was measured)."""
    phase: str = ""
    """What it does now, as it reported to this driver: "scoring 18/24"; a ledger does not hold it."""
    checkpoints_dropped: str = ""
    """Why its checkpoints were deleted."""
    seconds: float = 0.0
    started: float = 0.0
    seconds_of_attempt: float = 0.0
    attempts: list[tuple[float, float]] = field(default_factory=list)
    """When it ran: from each start to the last event of that attempt, in seconds since 1970."""
    changed: dict[str, Any] = field(default_factory=dict)
    """Settings of the newest start that differ from the proposal: a fresh seed after a divergence, half the batch."""
    parent: dict[str, Any] | None = None
    """"trial", "index" and "step" of the checkpoint it started from; None if it started from step 0."""

    @classmethod
    def started_by(cls, event: Event) -> "TrialRecord":
        """The record of a trial at its first start."""
        return cls(
            checked_name(event["trial"], "a trial's id"), event["index"], event["overrides"],
            is_paper_point=event["is_paper_point"], n_steps=event["n_steps"], started=event["time"],
            parent=event.get("parent"), attempts=[(event["time"], event["time"])],
        )  # fmt: skip

    def start_again(self, event: Event) -> None:
        """Record a later start: from the newest checkpoint or, if the event has `anew`, from step 0."""
        if self.state == "running":
            self.kill()
        self.state, self.started, self.reason, self.seconds_of_attempt = "running", event["time"], "", 0.0
        self.attempts.append((event["time"], event["time"]))
        self.checkpoints_dropped = self.log_tail = self.phase = ""
        self.changed = event.get("changed", {})
        if event.get("anew"):
            self.step, self.looks, self.losses, self.health, self.score, self.scores = 0, {}, {}, None, Score(), {}

    def kill(self, step: int = 0, seconds: float = 0.0) -> None:
        """Record that nothing runs it any more; `step` and `seconds` of its training are the last that are known."""
        before, (began, ended) = self.seconds, self.attempts[-1]
        self.state, self.step, self.phase = KILLED, max(self.step, step), ""
        self.seconds = max(before + self.seconds_of_attempt, seconds)  # the time it reported counts
        self.attempts[-1] = began, max(ended, began + self.seconds - before)
        self.seconds_of_attempt = 0.0

    def looked(self, event: Event) -> None:
        self.step, self.looks[event["step"]], self.phase = event["step"], event["look"], ""
        # Old ledgers hold no health.
        self.losses, self.health = event["losses"] or self.losses, event.get("health")
        self.seconds_of_attempt = event.get("seconds", 0.0)
        self._extend_attempt(event)

    def end(self, event: Event) -> None:
        end = End.from_event(event)
        self.state, self.score, self.scores, self.reason = end.state, end.score, dict(end.scores), end.reason
        self.log_tail = end.log_tail or ""
        self.step = self.step if end.step is None else end.step
        # Old ledgers hold no seconds: take the difference of two clock times, although the clock may have been set.
        self.seconds += event.get("seconds", max(event["time"] - self.started, 0.0))
        self._extend_attempt(event)

    def _extend_attempt(self, event: Event) -> None:
        self.attempts[-1] = self.attempts[-1][0], event["time"]

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `status --json` and `show --json` print them."""
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return values | {"score": self.score.to_json() or None}

    @property
    def copies(self) -> str:
        """What share of its samples copies training windows, if that is more than the limit; otherwise empty."""
        measured = self.score.copies
        if measured is None or not measured.flagged:
            return ""
        return f"{100 * measured.share:.0f} % of its samples copy training clips"

    @property
    def look(self) -> float:
        """The newest look; NaN before the first."""
        return self.looks[max(self.looks)] if self.looks else math.nan

    @property
    def worst_health(self) -> str:
        """The worst state of the newest look, or "ok"; empty before the first look."""
        return "" if self.health is None else next(iter(self.health["states"]), "ok")


@dataclass
class SweepRecord:
    """The state of a sweep, as the ledger's events add up to it: header, trials in order, floor, end."""

    header: Event = field(default_factory=dict)
    trials: dict[str, TrialRecord] = field(default_factory=dict)
    floor: Floor | None = None
    known: list[dict[str, Any]] | None = None
    """Done trials of earlier experiments that were added to the study; not trials of this sweep."""
    confirmation: "SweepRecord | None" = None
    """The best points trained again on fresh seeds, recorded as separate events; not trials of the search."""
    ended: str = ""
    enough: str = ""
    """Why its newest driver started no more trials, by `stop_when`."""
    starts: list[Event] = field(default_factory=list)
    """The headers of all its drivers: one, and one more for each resume."""
    last_event: float = math.nan
    """When it happened, in seconds since 1970."""

    @property
    def done(self) -> list[TrialRecord]:
        # A copy: a live table reads this in another thread while the driver adds trials.
        return [trial for trial in list(self.trials.values()) if trial.state == "done"]

    @property
    def objectives(self) -> list[Objective]:
        """The objectives of the search, in order."""
        return list(parsed(self.header.get("objective", ["s3"])))

    @property
    def is_of_program(self) -> bool:
        """Whether the trials run another program; headers of early versions have no sweep."""
        return COMMAND in self.header.get("sweep", {}).get("space", {}).get("base", {})

    def may_be_best(self, trial: TrialRecord) -> bool:
        """Whether a done trial can be on the front: its samples are no copies, or the search allows that."""
        return bool(self.header.get("best_may_copy")) or not trial.copies

    @property
    def front(self) -> list[TrialRecord]:
        """The done trials that no other done trial dominates; with one objective, the best and those that equal it.

        Without those that copy training clips, unless `evaluation.best_may_copy` is set; see `passed_over`.
        """
        return self._front([trial for trial in self.done if self.may_be_best(trial)])

    @property
    def passed_over(self) -> list[TrialRecord]:
        """The trials that would be on the front if they did not copy training clips."""
        return [trial for trial in self._front(self.done) if not self.may_be_best(trial)]

    def _front(self, trials: list[TrialRecord]) -> list[TrialRecord]:
        objectives = self.objectives
        scored = [trial for trial in trials if all(objective.name in trial.scores for objective in objectives)]
        return [scored[index] for index in pareto_front([trial.scores for trial in scored], objectives)]

    @property
    def best(self) -> TrialRecord | None:
        """The trial of the front that is best by the first objective; None before a trial is scored."""
        return min(self.front, key=lambda trial: self.objectives[0].loss(trial.scores), default=None)

    @property
    def steps_saved(self) -> float:
        """The share of their steps that the pruned trials left out, of the steps of all done and pruned trials."""
        ended = [trial for trial in list(self.trials.values()) if trial.state in ("done", "pruned")]
        whole = sum(trial.n_steps for trial in ended)
        return sum(trial.n_steps - trial.step for trial in ended) / whole if whole else 0.0

    @property
    def next_index(self) -> int:
        """The index of the next new trial."""
        return 1 + max((trial.index for trial in list(self.trials.values())), default=-1)

    def count(self, state: str) -> int:
        return sum(trial.state == state for trial in self.trials.values())

    def apply(self, event: Event) -> None:
        """Update the record by one event."""
        if event["event"].startswith(CONFIRM):
            self.confirmation = self.confirmation or SweepRecord()
            self.confirmation.apply({**event, "event": event["event"].removeprefix(CONFIRM)})
            return
        self.last_event = event.get("time", self.last_event)
        if event["event"] == "trial_started" and event["trial"] not in self.trials:
            self.trials[event["trial"]] = TrialRecord.started_by(event)
        elif event["event"] in _OF_TRIALS:
            self._apply_to_trial(event, self.trials[event["trial"]])
        else:
            self._apply_to_sweep(event)

    def _apply_to_sweep(self, event: Event) -> None:
        kind = event["event"]
        if kind == "sweep_started":
            self.header, self.ended, self.enough = event, "", ""
            self.starts.append(event)
            for trial in self.trials.values():
                if trial.state == "running":  # of a driver that was killed
                    trial.kill()
        elif kind == "sweep_ended":
            self.ended = event["how"]
        elif kind == ENOUGH:
            self.enough = event["why"]
        elif kind == "warm_started":
            self.known = event["trials"]
        elif kind == "floor":
            self.floor = Floor.from_json(event["score"])

    def _apply_to_trial(self, event: Event, trial: TrialRecord) -> None:
        kind = event["event"]
        if kind == "trial_started":
            trial.start_again(event)
        elif kind == "checkpoints_dropped":
            trial.checkpoints_dropped = event["why"]
        elif kind == "look":
            trial.looked(event)
        elif kind == "trial_ended":
            trial.end(event)


_OF_TRIALS = ("trial_started", "checkpoints_dropped", "look", "trial_ended")


class Ledger:
    """The file of events; an event is durable when `append` returns.

    On an object store its segments are the truth, and `path` is this driver's copy of them.
    """

    def __init__(self, path: Path, segments: Segments | None = None) -> None:
        self.path, self._segments = path, segments
        path.parent.mkdir(parents=True, exist_ok=True)
        if segments is not None:
            segments.open()
            copied = b"".join(line + b"\n" for line in segments.lines_from(0))
            write_atomically(path, lambda stream: stream.write(copied))
        reader = LedgerReader(path)
        reader.read()
        self.record, self._n_lines = reader.record, reader.n_lines
        _cut_torn_line(path)
        self._stream: IO[bytes] | None = open(path, "ab", buffering=0) if path.exists() else None  # noqa: SIM115

    @classmethod
    def of(cls, experiment: Experiment) -> "Ledger":
        """The ledger of an experiment that this process has locked."""
        events = experiment.events
        return cls(experiment.ledger, Segments(events) if isinstance(events, RemotePath) else None)

    def append(self, event: str, **fields: Any) -> Event:
        """Write one event, with the time, and apply it to `record`; one that could not be written leaves no trace.

        Raises MovedExperiment if the ledger is no longer at its path, ExperimentInUse if another driver took over.
        """
        entry = {"time": time.time(), "event": event, **fields}
        line = (json.dumps(entry) + "\n").encode()
        stream = self._opened()
        n_bytes = os.fstat(stream.fileno()).st_size
        try:
            if stream.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            os.fsync(stream.fileno())
            if self._segments is not None:
                segments, number = self._segments, self._n_lines
                with_retries(lambda: segments.append(number, line))
        except (OSError, StorageError, ExperimentInUse):
            os.truncate(stream.fileno(), n_bytes)
            raise
        self._n_lines += 1
        self.record.apply(entry)
        if self._segments is not None:
            with suppress(StorageError):  # the event is written, and the next one merges
                self._segments.merge(self.path)
        return entry

    def _opened(self) -> IO[bytes]:
        """The file to append to, created by the first event; raises MovedExperiment if it is not at `path` any more."""
        try:
            if self._stream is None:
                self._stream = open(self.path, "ab", buffering=0)  # noqa: SIM115 (a ledger is open while it exists)
                sync_folder(self.path.parent)
        except FileNotFoundError:
            raise MovedExperiment(self.path.parent) from None
        refuse_moved(self._stream, self.path, self.path.parent)
        return self._stream


class LedgerReader:
    """Follows a ledger that another process writes; an incomplete last line is left out."""

    def __init__(self, place: Place) -> None:
        self.place, self.record = place, SweepRecord()
        self._n_bytes, self.n_lines = 0, 0
        """Bytes and lines read so far."""

    def read(self) -> list[Event]:
        """The events since the last call, applied to `record`; raises DamagedLedger with the number of the bad line."""
        return list(self.follow())

    def follow(self) -> Iterator[Event]:
        """As `read`, one at a time: until the next is asked for, `record` holds what was true at this event."""
        for line in self._new_lines():
            yield self._applied(line)

    def _new_lines(self) -> list[bytes]:
        if isinstance(self.place, RemotePath):
            return Segments(self.place).lines_from(self.n_lines)
        try:
            with open(self.place, "rb") as stream:
                stream.seek(self._n_bytes)
                *lines, torn = stream.read().split(b"\n")
                self._n_bytes = stream.tell() - len(torn)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise DamagedLedger(f"{self.place} must be a readable file ({error.strerror}); restore it.") from error
        return lines

    def _applied(self, line: bytes) -> Event:
        self.n_lines += 1
        try:
            event: Event = checked_event(json.loads(line))
            self.record.apply(event)
        # By the field that is damaged: KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError.
        except Exception as error:
            reason = str(error) if isinstance(error, ConfigurationError) else repr(error)
            raise DamagedLedger(
                f"{self.place} line {self.n_lines} is not a valid event ({reason}); restore the file from a copy."
            ) from error
        return event


def read_ledger(place: Place) -> SweepRecord:
    """The state of a sweep, also while it runs."""
    reader = LedgerReader(place)
    reader.read()
    return reader.record


def read_events(place: Place) -> Iterator[Event]:
    """The events of a ledger, in order."""
    return iter(LedgerReader(place).read())


def _cut_torn_line(path: Path) -> None:
    """Remove an unfinished last line that a crash left, so that the next event starts a new one."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)

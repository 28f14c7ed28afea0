"""What happened in a sweep: an append-only file of events, written by the driver alone, and what follows from them."""

import errno
import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vgsearch.experiment.objective import Objective, measured, pareto_front, parsed
from vgsearch.experiment.paths import Experiment
from vgsearch.object_store.lease import ExperimentInUse
from vgsearch.object_store.ledger_segments import Segments
from vgsearch.object_store.retry import with_retries
from videogan.storage.atomic import write_atomically
from videogan.storage.places import Place, RemotePath, StorageError

ENDS = (
    "done",  # the only one with scores
    "pruned",  # its looks, or its health, gave it up
    "diverged",  # a loss was not finite: which, and at which step
    "unscored",  # trained, but a score has no value
    "failed",  # it raised: why, and the end of its log
    "out_of_memory",  # at half the batch, too, where that could be tried
    "stalled",  # no sign of life, so the driver ended it
    "lost",  # its process or its node died, and again when it was tried once more
    "interrupted",  # saved and ended on request, or by a full disk; goes on when the sweep is resumed
)
UNFINISHED = ("running", "interrupted")
CONFIRM = "confirm_"
"""Begins the names of events of runs that confirm a search's result, after it."""


class DamagedLedger(ValueError):
    """A line of the ledger that is no event, other than a last one cut off by a crash."""


@dataclass
class TrialRecord:
    """All the ledger says of one trial."""

    trial_id: str
    index: int
    overrides: dict[str, Any]
    state: str = "running"
    is_paper_point: bool = False
    step: int = 0
    n_steps: int = 0
    looks: dict[int, float] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    score: dict[str, Any] | None = None
    scores: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    log_tail: str = ""
    """The end of its log, where it ended by an error."""
    health: dict[str, Any] | None = None
    """Of the newest look: "states", what is wrong, the worst first, with its evidence; "vitals", what was measured."""
    checkpoints_dropped: str = ""
    """Why its checkpoints are gone."""
    seconds: float = 0.0
    started: float = 0.0
    seconds_of_attempt: float = 0.0
    attempts: list[tuple[float, float]] = field(default_factory=list)
    """When it ran: from its start, or a resume's, to the last that was heard of it; seconds since 1970."""
    changed: dict[str, Any] = field(default_factory=dict)
    """What the newest start has otherwise than proposed: a fresh seed after a divergence, half the batch."""

    parent: dict[str, Any] | None = None
    """The "trial", its "index" and the "step" of the checkpoint that it went on from, where it did not start from nothing."""

    def start_again(self, event: dict[str, Any]) -> None:
        """A later start: it goes on from the newest checkpoint, or where the event says `anew` from nothing."""
        if self.state == "running":  # cut off without a word; what it had told of its time counts
            self.seconds += self.seconds_of_attempt
        self.state, self.started, self.reason, self.seconds_of_attempt = "running", event["time"], "", 0.0
        self.attempts.append((event["time"], event["time"]))
        self.checkpoints_dropped = self.log_tail = ""
        self.changed = event.get("changed", {})
        if event.get("anew"):
            self.step, self.looks, self.losses, self.health, self.score, self.scores = 0, {}, {}, None, None, {}

    def looked(self, event: dict[str, Any]) -> None:
        self.step, self.looks[event["step"]] = event["step"], event["look"]
        # A ledger from before looks told health has none.
        self.losses, self.health = event["losses"] or self.losses, event.get("health")
        self.seconds_of_attempt = event.get("seconds", 0.0)
        self._heard(event)

    def end(self, event: dict[str, Any]) -> None:
        self.state, self.score, self.reason = event["state"], event.get("score"), event.get("reason", "")
        self.log_tail = event.get("log_tail", "")
        # A ledger from before objectives had names holds the summary alone.
        self.scores = event.get("scores", measured(self.score or {}))
        self.step = event.get("step", self.step)
        # A ledger from before drivers took the time has that of a clock, which may have been set.
        self.seconds += event.get("seconds", max(event["time"] - self.started, 0.0))
        self._heard(event)

    def _heard(self, event: dict[str, Any]) -> None:
        self.attempts[-1] = self.attempts[-1][0], event["time"]

    @property
    def look(self) -> float:
        return self.looks[max(self.looks)] if self.looks else math.nan

    @property
    def worst_health(self) -> str:
        """What is worst of the newest look, or "ok"; empty before the first."""
        return "" if self.health is None else next(iter(self.health["states"]), "ok")


@dataclass
class SweepRecord:
    """All the ledger says of a sweep: its header, its trials in order, its floor, its end."""

    header: dict[str, Any] = field(default_factory=dict)
    trials: dict[str, TrialRecord] = field(default_factory=dict)
    floor: dict[str, Any] | None = None
    known: list[dict[str, Any]] | None = None
    """Done trials of earlier experiments that the study knows, once it was told; none of them is a trial of the sweep."""
    confirmation: "SweepRecord | None" = None
    """The best points trained again on fresh seeds, in events of their own: none of these runs is a trial of the search."""
    ended: str = ""
    starts: list[dict[str, Any]] = field(default_factory=list)
    """The headers of all its drivers: one, and one more for each resume."""
    last_event: float = math.nan
    """When it happened, in seconds since 1970."""

    @property
    def done(self) -> list[TrialRecord]:
        # A copy: a live table reads this in a thread of its own while the driver adds trials.
        return [trial for trial in list(self.trials.values()) if trial.state == "done"]

    @property
    def objectives(self) -> list[Objective]:
        """What the search makes better, the first first."""
        return list(parsed(self.header.get("objective", ["s3"])))

    @property
    def front(self) -> list[TrialRecord]:
        """The done trials that no other done trial dominates; with one objective, the best and its equals."""
        objectives = self.objectives
        scored = [trial for trial in self.done if all(objective.name in trial.scores for objective in objectives)]
        return [scored[index] for index in pareto_front([trial.scores for trial in scored], objectives)]

    @property
    def best(self) -> TrialRecord | None:
        """The done trial that is best by the only objective, or of the front by the first; nothing else can be best."""
        return min(self.front, key=lambda trial: self.objectives[0].loss(trial.scores), default=None)

    @property
    def next_index(self) -> int:
        """The place in the sweep of the next trial that is new."""
        return 1 + max((trial.index for trial in list(self.trials.values())), default=-1)

    def count(self, state: str) -> int:
        return sum(trial.state == state for trial in self.trials.values())

    def apply(self, event: dict[str, Any]) -> None:
        """Takes one event into account."""
        if event["event"].startswith(CONFIRM):
            self.confirmation = self.confirmation or SweepRecord()
            self.confirmation.apply({**event, "event": event["event"].removeprefix(CONFIRM)})
        else:
            self._apply(event)

    def _apply(self, event: dict[str, Any]) -> None:
        kind, trial = event["event"], self.trials.get(event.get("trial", ""))
        self.last_event = event.get("time", self.last_event)
        if kind == "sweep_started":
            self.header, self.ended = event, ""
            self.starts.append(event)
        elif kind == "sweep_ended":
            self.ended = event["how"]
        elif kind == "warm_started":
            self.known = event["trials"]
        elif kind == "floor":
            self.floor = event["score"]
        elif kind == "trial_started" and trial is None:
            self.trials[event["trial"]] = TrialRecord(
                event["trial"], event["index"], event["overrides"],
                is_paper_point=event["is_paper_point"], n_steps=event["n_steps"], started=event["time"],
                parent=event.get("parent"),
                attempts=[(event["time"], event["time"])],
            )  # fmt: skip
        elif kind == "trial_started":
            trial.start_again(event)
        elif kind == "checkpoints_dropped":
            trial.checkpoints_dropped = event["why"]
        elif kind == "look":
            trial.looked(event)
        elif kind == "trial_ended":
            trial.end(event)


class Ledger:
    """The file of events; `append` is durable when it returns.

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

    @classmethod
    def of(cls, experiment: Experiment) -> "Ledger":
        """The ledger of an experiment that this process has locked."""
        kept = experiment.events
        return cls(experiment.ledger, Segments(kept) if isinstance(kept, RemotePath) else None)

    def append(self, event: str, **fields: Any) -> dict[str, Any]:
        """Writes one event, with the time, and applies it to `record`; one that could not be kept leaves no trace."""
        entry = {"time": time.time(), "event": event, **fields}
        line = (json.dumps(entry) + "\n").encode()
        n_bytes = self.path.stat().st_size if self.path.exists() else 0
        try:
            with open(self.path, "ab", buffering=0) as stream:
                if stream.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
                os.fsync(stream.fileno())
            if self._segments is not None:
                segments, number = self._segments, self._n_lines
                with_retries(lambda: segments.append(number, line))
        except (OSError, StorageError, ExperimentInUse):
            os.truncate(self.path, n_bytes)
            raise
        self._n_lines += 1
        self.record.apply(entry)
        if self._segments is not None:
            with suppress(StorageError):  # the event is kept, and the next one merges
                self._segments.merge(self.path)
        return entry


class LedgerReader:
    """Follows a ledger that another process writes; a last line that is not whole yet, or cut off by a crash, is no event."""

    def __init__(self, kept: Place) -> None:
        self.kept, self.record = kept, SweepRecord()
        self._n_bytes, self.n_lines = 0, 0
        """Of what was read."""

    def read(self) -> list[dict[str, Any]]:
        """The events since the last call, applied to `record`; raises DamagedLedger with the line that is none."""
        return [self._applied(line) for line in self._new_lines()]

    def _new_lines(self) -> list[bytes]:
        if isinstance(self.kept, RemotePath):
            return Segments(self.kept).lines_from(self.n_lines)
        if not self.kept.exists():
            return []
        with open(self.kept, "rb") as stream:
            stream.seek(self._n_bytes)
            *lines, torn = stream.read().split(b"\n")
            self._n_bytes = stream.tell() - len(torn)
        return lines

    def _applied(self, line: bytes) -> dict[str, Any]:
        self.n_lines += 1
        try:
            event = json.loads(line)
            self.record.apply(event)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedLedger(
                f"{self.kept} line {self.n_lines} is no event ({error!r}); restore the file from a copy."
            ) from error
        return event


def read_ledger(kept: Place) -> SweepRecord:
    """The state of a sweep from its ledger alone, also while it runs."""
    reader = LedgerReader(kept)
    reader.read()
    return reader.record


def read_events(kept: Place) -> Iterator[dict[str, Any]]:
    """The whole events of a ledger, in order."""
    return iter(LedgerReader(kept).read())


def _cut_torn_line(path: Path) -> None:
    """Removes what a crash left of an unfinished last line, so that the next event starts its own."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)

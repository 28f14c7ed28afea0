"""What happened in a sweep: an append-only file of events, written by the driver alone, and what follows from them."""

import json
import math
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vgsearch.objective import Objective, measured, pareto_front, parsed

# How a trial can end; only `done` has a score, and only `interrupted` goes on when the sweep is resumed.
ENDS = ("done", "pruned", "diverged", "failed", "unscored", "interrupted")
UNFINISHED = ("running", "interrupted")


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
    health: dict[str, Any] | None = None
    """Of the newest look: "states", what is wrong, the worst first, with its evidence; "vitals", what was measured."""
    checkpoints_dropped: str = ""
    """Why its checkpoints are gone."""
    seconds: float = 0.0
    started: float = 0.0
    attempts: list[tuple[float, float]] = field(default_factory=list)
    """When it ran: from its start, or a resume's, to the last that was heard of it; seconds since 1970."""

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

    def count(self, state: str) -> int:
        return sum(trial.state == state for trial in self.trials.values())

    def apply(self, event: dict[str, Any]) -> None:
        """Takes one event into account."""
        kind, trial = event["event"], self.trials.get(event.get("trial", ""))
        self.last_event = event.get("time", self.last_event)
        if kind == "sweep_started":
            self.header, self.ended = event, ""
            self.starts.append(event)
        elif kind == "sweep_ended":
            self.ended = event["how"]
        elif kind == "floor":
            self.floor = event["score"]
        elif kind == "trial_started" and trial is None:
            self.trials[event["trial"]] = TrialRecord(
                event["trial"], event["index"], event["overrides"],
                is_paper_point=event["is_paper_point"], n_steps=event["n_steps"], started=event["time"],
                attempts=[(event["time"], event["time"])],
            )  # fmt: skip
        elif kind == "trial_started":
            trial.state, trial.started, trial.reason = "running", event["time"], ""
            trial.attempts.append((event["time"], event["time"]))
            trial.checkpoints_dropped = ""
        elif kind == "checkpoints_dropped":
            trial.checkpoints_dropped = event["why"]
        elif kind == "look":
            trial.attempts[-1] = trial.attempts[-1][0], event["time"]
            trial.step, trial.looks[event["step"]] = event["step"], event["look"]
            # A ledger from before looks told health has none.
            trial.losses, trial.health = event["losses"], event.get("health")
        elif kind == "trial_ended":
            trial.state, trial.score, trial.reason = event["state"], event.get("score"), event.get("reason", "")
            # A ledger from before objectives had names holds the summary alone.
            trial.scores = event.get("scores", measured(trial.score or {}))
            trial.step = event.get("step", trial.step)
            trial.seconds += event["time"] - trial.started
            trial.attempts[-1] = trial.attempts[-1][0], event["time"]


class Ledger:
    """The file of events; `append` is durable when it returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = read_ledger(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut_torn_line(path)

    def append(self, event: str, **fields: Any) -> dict[str, Any]:
        """Writes one event, with the time, and applies it to `record`."""
        entry = {"time": time.time(), "event": event, **fields}
        with open(self.path, "a") as stream:
            stream.write(json.dumps(entry) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self.record.apply(entry)
        return entry


class LedgerReader:
    """Follows a ledger that another process writes; a last line that is not whole yet, or cut off by a crash, is no event."""

    def __init__(self, path: Path) -> None:
        self.path, self.record = path, SweepRecord()
        self._n_bytes, self._n_lines = 0, 0

    def read(self) -> list[dict[str, Any]]:
        """The events since the last call, applied to `record`; raises DamagedLedger with the line that is none."""
        if not self.path.exists():
            return []
        with open(self.path, "rb") as stream:
            stream.seek(self._n_bytes)
            *lines, torn = stream.read().split(b"\n")
            self._n_bytes = stream.tell() - len(torn)
        return [self._applied(line) for line in lines]

    def _applied(self, line: bytes) -> dict[str, Any]:
        self._n_lines += 1
        try:
            event = json.loads(line)
            self.record.apply(event)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedLedger(
                f"{self.path} line {self._n_lines} is no event ({error!r}); restore the file from a copy."
            ) from error
        return event


def read_ledger(path: Path) -> SweepRecord:
    """The state of a sweep from its ledger alone, also while it runs."""
    reader = LedgerReader(path)
    reader.read()
    return reader.record


def _cut_torn_line(path: Path) -> None:
    """Removes what a crash left of an unfinished last line, so that the next event starts its own."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)

"""The experiments under a folder, a line of facts each."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgsearch.experiment.driver_signs import DriverSigns
from vgsearch.experiment.ledger import DamagedLedger, SweepRecord, read_ledger
from vgsearch.experiment.paths import Experiment
from videogan.config import ConfigurationError
from videogan.storage.places import Place, RemotePath, place

MOST_LEVELS = 2
"""Of folders in which experiments are looked for."""


@dataclass(frozen=True)
class Listed:
    """An experiment as `vgsearch ls` shows it."""

    experiment: Experiment
    state: str
    """How its sweep ended, "running", or what is wrong with it."""
    record: SweepRecord
    n_bytes: int

    @property
    def last_event(self) -> float:
        """Unix time; 0 for an experiment without a readable event."""
        return 0.0 if math.isnan(self.record.last_event) else self.record.last_event

    @property
    def tags(self) -> list[str]:
        return list(self.record.header.get("sweep", {}).get("tags", []))

    def to_json(self) -> dict[str, Any]:
        header, best = self.record.header, self.record.best
        return {
            "name": self.experiment.name,
            "place": str(self.experiment.place),
            "state": self.state,
            "space": header.get("space"),
            "budget": header.get("budget"),
            "n_trials": header.get("n_trials"),
            "n_started": len(self.record.trials),
            "n_done": self.record.count("done"),
            "objective": [str(objective) for objective in self.record.objectives],
            "best": best and best.trial_id,
            "scores": best.scores if best else {},
            "last_event": self.last_event or None,
            "bytes": self.n_bytes,
            "tags": self.tags,
        }


def experiments_in(folder: Place) -> Iterator[Listed]:
    """The experiment at `folder`, or those in it and in its folders, the newest event first.

    Raises ConfigurationError if there is no such folder.
    """
    folder = place(folder)
    if not isinstance(folder, RemotePath) and not folder.is_dir():
        raise ConfigurationError(
            f"there is no folder {folder} here; vgsearch tune makes it, or give the one that its --out named."
        )
    own = Experiment.at(folder)
    listed = [_listed(each) for each in ([own] if own.has_events else _found(folder, MOST_LEVELS))]
    yield from sorted(listed, key=lambda each: (-each.last_event, str(each.experiment.place)))


def _found(folder: Place, levels: int) -> Iterator[Experiment]:
    """The experiments up to so many `levels` below; nothing is looked for inside of one."""
    for name in sorted(folder.folder_names() if isinstance(folder, RemotePath) else _folder_names(folder)):
        experiment = Experiment.at(folder / name)
        if experiment.has_events:
            yield experiment
        elif levels > 1:
            yield from _found(folder / name, levels - 1)


def _folder_names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except PermissionError:  # another user's
        return []


def _listed(experiment: Experiment) -> Listed:
    n_bytes = sum(experiment.working_copy.sizes().values())
    try:
        record = read_ledger(experiment.events)
    except (DamagedLedger, ConfigurationError) as error:
        return Listed(experiment, f"unreadable: {error}", SweepRecord(), n_bytes)
    ended = record.ended or ("killed" if DriverSigns(experiment).gone(time.monotonic()) else "running")
    return Listed(experiment, ended, record, n_bytes)

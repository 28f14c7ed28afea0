"""Frees the placement groups of Ray Train workers whose trial has ended."""

import math
import secrets
import time
from typing import Any

from ray import tune
from ray._raylet import PlacementGroupID
from ray.util.placement_group import PlacementGroup, placement_group_table, remove_placement_group

from videogan.storage.atomic import write_atomically
from videogan.storage.places import Place, file_names, place

MOST_MARKED_BYTES = 2**24
"""Upper bound of a mark: few enough bytes to spare, enough numbers that no two attempts on a cluster get the same."""
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_OF_DYING = 6.0


def _marks(folder: str) -> Place:
    """The folder of marks: one file per attempt of the trial whose placement groups may exist."""
    return place(folder) / ".marks"


def new_mark(folder: str) -> int:
    """A unique number of bytes that an attempt's workers request, which identifies their placement groups.

    It is written to the trial's folder before any of them exists.
    """
    mark = 2 + secrets.randbelow(MOST_MARKED_BYTES)  # driving processes request 1
    write_atomically(_marks(folder) / str(mark), lambda stream: None)
    return mark


class PlacementGroupReaper(tune.Callback):
    """Frees the workers' placement groups of every attempt that ended, however it ended.

    Also groups that appear later: while Tune kills a trial, its controller may see its workers die and start a new
    group before it dies itself.
    """

    def __init__(self) -> None:
        self._ended: set[int] = set()
        self._looked = -math.inf

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self._ends(trial)

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self._ends(trial)

    def on_trial_recover(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self._ends(trial)

    def on_step_end(self, iteration: int, trials: list, **info: Any) -> None:
        if self._ended and time.monotonic() - self._looked > SECONDS_BETWEEN_LOOKS:
            self.reap()

    def on_experiment_end(self, trials: list, **info: Any) -> None:
        """Free groups for some more seconds, since the last trial's controller may still be dying."""
        deadline = time.monotonic() + SECONDS_OF_DYING
        while self._ended and time.monotonic() < deadline:
            self.reap()
            time.sleep(SECONDS_BETWEEN_LOOKS / 2)

    def _ends(self, trial: Any) -> None:
        """Mark all attempts of the trial so far as ended."""
        marks = _marks(trial.config["folder"])
        for mark in filter(str.isdigit, file_names(marks)):
            self._ended.add(int(mark))
            (marks / mark).unlink()
        self.reap()

    def reap(self) -> None:
        """Free the groups that have the mark of an attempt that ended."""
        self._looked = time.monotonic()
        for name, group in placement_group_table().items():
            marked = {bundle.get("memory") for bundle in group["bundles"].values()}
            if group["state"] != "REMOVED" and marked & self._ended:
                remove_placement_group(PlacementGroup(PlacementGroupID.from_hex(name)))

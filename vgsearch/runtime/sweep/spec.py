"""The specification of a trial, and the copy of its folder that each of its processes works on."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from vgsearch.experiment.paths import TrialFolder
from vgsearch.object_store.working_copy import used_copy
from vgsearch.runtime.feed.inputs import Inputs
from videogan.data.cache import local_cache_folder


@dataclass(frozen=True)
class TrialSpec:
    """Everything a trial needs, as plain values that can be sent to any node; its paths are on shared storage."""

    trial_id: str
    folder: str
    config: dict[str, Any]
    hyperparameters: dict[str, Any]
    stop_request: str
    """Path or address of the file that asks all trials to save and end."""
    inputs: Inputs
    own_stop_request: str = ""
    """The same of this trial alone, which then ends as pruned; empty: there is none."""
    keep: int = 2
    """Number of newest checkpoints to keep, in addition to the best."""
    n_classes: int = 1
    """Classes of the data set."""
    class_names: tuple[str, ...] = ()
    """Their names, for pictures."""
    n_seeds: int = 1
    """Trainings of the point, one after the other; its score is their mean."""
    to_beat: float | None = None
    """The worse end of the best point's interval by the first objective, at this trial's start: a point whose own
    interval does not reach it is trained with no further seed. None: with all seeds."""

    def to_parameters(self) -> dict[str, Any]:
        """The parameters by which Ray Tune passes it on."""
        return dataclasses.asdict(self)

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> "TrialSpec":
        return cls(**{**parameters, "inputs": Inputs(**parameters["inputs"])})


def own_copy(spec: TrialSpec, rank: int) -> TrialFolder:
    """A rank's own copy of the trial's folder, as ranks may share a node; the folder itself if nodes share a disk."""
    return TrialFolder.at(spec.folder, f"trials/rank{rank}")


@contextmanager
def own_copy_in_use(folder: TrialFolder) -> Iterator[None]:
    """Lock a process's own copy while it is used, then delete it; a shared folder is left alone."""
    if folder.address is None:
        yield
    else:
        with used_copy(folder.folder.parents[2], local_cache_folder("trials")):
            yield


def is_read_by_the_next_attempt(name: str) -> bool:
    """Whether an attempt reads this file of those before it."""
    return not name.startswith(("attempts/", "evaluations/", "seeds/", "classes/"))

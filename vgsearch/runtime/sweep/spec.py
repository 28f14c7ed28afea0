"""What a trial is given, and the copy of its folder that each of its processes works on."""

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
    """All a trial needs, in plain values that travel to any node; its places are on storage that all nodes share."""

    trial_id: str
    folder: str
    config: dict[str, Any]
    hyperparameters: dict[str, Any]
    stop_request: str
    inputs: Inputs
    keep: int = 2
    """Number of newest checkpoints to keep, besides the best."""
    n_seeds: int = 1
    """Trainings of the point, one after the other; its score is their mean."""

    def to_parameters(self) -> dict[str, Any]:
        """As Ray Tune passes it on."""
        return dataclasses.asdict(self)

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> "TrialSpec":
        return cls(**{**parameters, "inputs": Inputs(**parameters["inputs"])})


def own_copy(spec: TrialSpec, rank: int) -> TrialFolder:
    """A rank's own copy of the trial's folder, as ranks may share a node; the folder itself if nodes share a disk."""
    return TrialFolder.at(spec.folder, f"trials/rank{rank}")


@contextmanager
def own_copy_in_use(folder: TrialFolder) -> Iterator[None]:
    """While a process works on its own copy; nothing is deleted of a folder that nodes share."""
    if folder.address is None:
        yield
    else:
        with used_copy(folder.folder.parents[2], local_cache_folder("trials")):
            yield


def is_read_by_the_next_attempt(name: str) -> bool:
    """Whether an attempt reads this file of those before it."""
    return not name.startswith(("attempts/", "evaluations/", "seeds/"))

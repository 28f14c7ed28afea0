"""Whether a file that a process holds open is still the file at its path: a running experiment may be moved."""

import os
from pathlib import Path
from typing import IO, Any

from videogan.storage.places import Place


class MovedExperiment(RuntimeError):
    """The experiment's folder was moved, deleted or replaced while a process wrote to it."""

    def __init__(self, experiment: Place) -> None:
        super().__init__(
            f"{experiment} is no longer the folder that this sweep writes to: it was moved, deleted or replaced while "
            "the sweep ran. Move it back, or resume it where it is now: vgsearch resume FOLDER."
        )
        self.experiment = experiment

    def __reduce__(self) -> tuple:
        return type(self), (self.experiment,)


def refuse_moved(held: IO[Any], path: Path, experiment: Place) -> None:
    """Raise MovedExperiment unless the open file `held` is the one at `path`: a writer must not begin a new one."""
    try:
        stays = os.path.samestat(os.fstat(held.fileno()), os.stat(path))
    except FileNotFoundError:
        stays = False
    if not stays:
        raise MovedExperiment(experiment)

"""Checkpoint files of one folder, numbered by their step: written whole, read safely, damaged ones passed over by name."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from videogan.storage.atomic import write_atomically

N_NEWEST = 2
Stored = TypeVar("Stored")


class UnreadableCheckpoint(RuntimeError):
    """A file that is no whole checkpoint; says which and why."""


def read_checkpoint(path: Path | str, build: Callable[[Any], Stored]) -> Stored:
    """What `build` makes of the content of the checkpoint file at `path`, read onto the CPU with `weights_only`.

    Raises UnreadableCheckpoint where it is missing, truncated or something else, of which `build` makes nothing.
    """
    try:
        return build(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise UnreadableCheckpoint(
            f"{path} does not exist; give a file such as .../checkpoints/step00001000.pt."
        ) from None
    # torch reports a damaged file as RuntimeError, UnpicklingError, EOFError, KeyError or OSError, by where the damage is.
    except Exception as error:
        raise UnreadableCheckpoint(
            f"{path} does not load ({type(error).__name__}: {str(error).splitlines()[0]})."
        ) from error


class StepFiles(ABC, Generic[Stored]):
    """`step<step>.pt` for each checkpoint of one training, the newest `n_newest` kept."""

    def __init__(self, folder: Path | str, n_newest: int = N_NEWEST) -> None:
        if n_newest < N_NEWEST:
            raise ValueError(
                f"n_newest must be at least {N_NEWEST}, got {n_newest}: a damaged newest one needs another behind it."
            )
        self.folder, self._n_newest = Path(folder), n_newest

    @staticmethod
    @abstractmethod
    def load(path: Path) -> Stored:
        """Reads one file; raises UnreadableCheckpoint."""

    def path(self, step: int) -> Path:
        return self.folder / f"step{step:08d}.pt"

    def steps(self) -> list[int]:
        return sorted(int(path.stem.removeprefix("step")) for path in self.folder.glob("step*.pt"))

    def newest(self) -> Stored | None:
        """The newest checkpoint that loads; warns for each newer one that does not."""
        for step in reversed(self.steps()):
            try:
                return self.load(self.path(step))
            except UnreadableCheckpoint as error:
                warnings.warn(f"{error} Using the one before it.", RuntimeWarning, stacklevel=2)
        return None

    def write(self, step: int, content: Mapping[str, Any], kept: Iterable[int] = ()) -> Path:
        """Writes the file so that a reader sees all of it or nothing, then drops all but the newest and those `kept`."""
        path = self.path(step)
        write_atomically(path, lambda stream: torch.save(dict(content), stream))
        for old in set(self.steps()[: -self._n_newest]) - set(kept):
            self.path(old).unlink()
        return path

"""Checkpoint files of one folder, numbered by step: atomic writes, safe reads, damaged files skipped with a warning."""

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
    """The file is missing, truncated or not a checkpoint; the message names it and the reason."""


def read_checkpoint(path: Path | str, build: Callable[[Any], Stored]) -> Stored:
    """Load the checkpoint file at `path` onto the CPU with `weights_only`, and return `build(content)`.

    Raises UnreadableCheckpoint if the file is missing or truncated, or if `build` fails on its content.
    """
    try:
        return build(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise UnreadableCheckpoint(
            f"{path} does not exist; give a file such as .../checkpoints/step00001000.pt."
        ) from None
    # Depending on where the damage is, torch raises RuntimeError, UnpicklingError, EOFError, KeyError or OSError.
    except Exception as error:
        raise UnreadableCheckpoint(
            f"{path} does not load ({type(error).__name__}: {str(error).splitlines()[0]})."
        ) from error


class StepFiles(ABC, Generic[Stored]):
    """The files `step<step>.pt` of one training; the newest `n_newest` are kept."""

    def __init__(self, folder: Path | str, n_newest: int = N_NEWEST) -> None:
        if n_newest < N_NEWEST:
            raise ValueError(
                f"n_newest must be at least {N_NEWEST}, got {n_newest}: a damaged newest file needs a second one."
            )
        self.folder, self._n_newest = Path(folder), n_newest

    @staticmethod
    @abstractmethod
    def load(path: Path) -> Stored:
        """Read one file; raises UnreadableCheckpoint."""

    def path(self, step: int) -> Path:
        return self.folder / f"step{step:08d}.pt"

    def steps(self) -> list[int]:
        return sorted(int(path.stem.removeprefix("step")) for path in self.folder.glob("step*.pt"))

    def newest(self) -> Stored | None:
        """The newest checkpoint that can be loaded; warns about each newer one that cannot. None if there is none."""
        for step in reversed(self.steps()):
            try:
                return self.load(self.path(step))
            except UnreadableCheckpoint as error:
                warnings.warn(f"{error} Using the one before it.", RuntimeWarning, stacklevel=2)
        return None

    def write(self, step: int, content: Mapping[str, Any], kept: Iterable[int] = ()) -> Path:
        """Write the file atomically, then delete all but the newest files and the steps in `kept`."""
        path = self.path(step)
        write_atomically(path, lambda stream: torch.save(dict(content), stream))
        for old in set(self.steps()[: -self._n_newest]) - set(kept):
            self.path(old).unlink()
        return path

"""Checkpoint files of one folder, numbered by step: atomic writes, safe reads, damaged files skipped with a warning."""

import io
import re
import warnings
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from videogan.config import ConfigurationError
from videogan.storage.atomic import write_atomically
from videogan.storage.places import Place, RemotePath
from videogan.storage.set_aside import set_aside

N_NEWEST = 2
Stored = TypeVar("Stored")


class UnreadableCheckpoint(ConfigurationError):
    """The file is missing, truncated or not a checkpoint; the message names it and the reason."""


class DamagedCheckpoint(UnreadableCheckpoint):
    """The file exists but is truncated, has a wrong checksum, or holds something else; `reason` leaves out its name."""

    def __init__(self, path: Place | str, reason: str) -> None:
        super().__init__(f"{path} {reason}.")
        self.path, self.reason = str(path), reason

    def __reduce__(self) -> tuple:
        return type(self), (self.path, self.reason)


def read_checkpoint(path: Place | str, build: Callable[[Any], Stored]) -> Stored:
    """Load a file of `torch.save` onto the CPU with `weights_only`, and return `build(content)`.

    torch.save writes the CRC-32 of each tensor and of the structure, but torch.load checks none, and one flipped bit
    gives other weights: here all are checked. Raises UnreadableCheckpoint if the file is missing, DamagedCheckpoint if
    it is damaged or if `build` fails on its content.
    """
    try:
        source = io.BytesIO(path.read_bytes()) if isinstance(path, RemotePath) else path
        with zipfile.ZipFile(source) as records:
            if (record := records.testzip()) is not None:
                raise zipfile.BadZipFile(f"the checksum of {record.partition('/')[2]} is wrong")
        if isinstance(source, io.BytesIO):
            source.seek(0)
        return build(torch.load(source, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise UnreadableCheckpoint(
            f"{path} does not exist; give a file such as .../checkpoints/step00001000.pt."
        ) from None
    # Depending on where the damage is, torch raises RuntimeError, UnpicklingError, EOFError, KeyError or OSError.
    except Exception as error:
        said = next(iter(str(error).splitlines()), "")
        raise DamagedCheckpoint(path, f"does not load ({type(error).__name__}: {said})") from error


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
        return sorted(int(path.stem.removeprefix("step")) for path in self.folder.glob("step*.pt") if _is_own(path))

    def newest(self) -> Stored | None:
        """The newest checkpoint that can be loaded; None if there is none.

        Each newer one that cannot is named in a warning; a damaged one is set aside.
        """
        for step in reversed(self.steps()):
            try:
                return self.load(self.path(step))
            except DamagedCheckpoint as error:
                set_aside(self.path(step), error.reason, "using the one before it")
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


def _is_own(path: Path) -> bool:
    """Whether a file has the name that `StepFiles.path` gives; a user may keep copies of other names beside it."""
    return re.fullmatch(r"step\d{8,}\.pt", path.name) is not None

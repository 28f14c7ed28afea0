"""Damaged files: renamed, so that a new file can take the place, and never deleted."""

import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

SUFFIX = ".damaged"


class DamagedFile(RuntimeWarning):
    """A file was damaged: which, how, where it is now, and what takes its place."""


class Renamable(Protocol):
    """A place other than a local path, such as `places.RemotePath`."""

    @property
    def name(self) -> str: ...

    @property
    def parent(self) -> Any: ...  # of the same type, by which `/` gives files in it

    def rename(self, name: str) -> None:
        """Give the file another name in its folder; raises FileNotFoundError."""


def set_aside(path: Path | Renamable, why: str, then: str) -> None:
    """Rename `path`, a file or folder, to `<name>.damaged`, and warn: `why` it is damaged, what happens `then`."""
    name = _free_name(path)
    with suppress(FileNotFoundError):  # another process has done it
        if isinstance(path, Path):
            path.rename(path.with_name(name))
        else:
            path.rename(name)
    warnings.warn(f"{path} {why}. Set aside as {name}; {then}.", DamagedFile, stacklevel=3)


def _free_name(path: Path | Renamable) -> str:
    name, number = f"{path.name}{SUFFIX}", 1
    while (path.parent / name).exists():
        number += 1
        name = f"{path.name}{SUFFIX}{number}"
    return name

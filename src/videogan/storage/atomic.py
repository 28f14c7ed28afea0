"""Atomic writes: a reader sees the old file or the complete new one."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol


class WritesWhole(Protocol):
    """A place other than a local path that writes files atomically itself, such as `places.RemotePath`."""

    def write_whole(self, write: Callable[[BinaryIO], object]) -> None: ...


def write_atomically(path: Path | WritesWhole, write: Callable[[BinaryIO], object]) -> None:
    """Write a private file beside `path` with `write(stream)`, sync it to disk and rename it to `path`.

    Readers see the old file or the complete new one. The last of two writers wins. A failed write leaves nothing
    behind; a killed process leaves a .part file.
    """
    if not isinstance(path, Path):
        path.write_whole(write)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with open(part, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            part.replace(path)
        except FileNotFoundError:
            if not path.is_file():  # if it exists, another writer finished this file and removed our .part
                raise
    finally:
        part.unlink(missing_ok=True)

"""Files that are whole or not there."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol


class WritesWhole(Protocol):
    """A place that is no local path and writes a file whole by its own means, such as `places.RemotePath`."""

    def write_whole(self, write: Callable[[BinaryIO], object]) -> None: ...


def write_atomically(path: Path | WritesWhole, write: Callable[[BinaryIO], object]) -> None:
    """Fills a private file beside `path` by `write(stream)`, makes it durable and renames it: a reader sees the old file,
    or all of the new one. Of two writers the last wins; a write that fails leaves nothing behind, a killed one a .part."""
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
            if not path.is_file():  # it is: another writer finished this file and swept up
                raise
    finally:
        part.unlink(missing_ok=True)

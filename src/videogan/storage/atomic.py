"""Atomic writes: a reader sees the old file or the complete new one."""

import errno
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from videogan.storage.set_aside import set_aside

UNSYNCABLE = (errno.EINVAL, errno.ENOTSUP)
"""What file systems answer that cannot sync a folder, such as some network shares."""


SECONDS_OF_A_WRITE = 600.0
"""A .part file that has not grown for so long is no longer written."""


class WritesWhole(Protocol):
    """A place other than a local path that writes files atomically itself, such as `places.RemotePath`."""

    def write_whole(self, write: Callable[[BinaryIO], object]) -> None: ...


def write_atomically(path: Path | WritesWhole, write: Callable[[BinaryIO], object]) -> None:
    """Write a private file beside `path` with `write(stream)`, sync it to disk and rename it to `path`.

    Readers see the old file or the complete new one, also after a loss of power: the folder's entry is synced too. The
    last of two writers wins. A folder of that name is set aside, with a warning. A failed write leaves nothing behind,
    and its OSError names `path`; a killed process leaves a .part file, which `delete_parts` deletes.
    """
    if not isinstance(path, Path):
        path.write_whole(write)
        return
    make_folder(path.parent)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with named(path):
            with open(part, "wb") as stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            _replace(part, path)
            sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(folder: Path) -> Iterator[Path]:
    """A hidden folder within `folder` to write into: what it holds moves up at the end; after an error nothing is left.

    It lies within, not beside: `folder` may be on a disk of its own.
    """
    is_new = not folder.exists()
    hidden = folder / f".{uuid.uuid4().hex[:8]}.writing"
    make_folder(hidden)
    try:
        yield hidden
        for written in list(hidden.iterdir()):
            written.rename(folder / written.name)
        sync_folder(folder)
    finally:
        shutil.rmtree(hidden)
        if is_new and not any(folder.iterdir()):
            folder.rmdir()


def _replace(part: Path, path: Path) -> None:
    try:
        part.replace(path)
    except IsADirectoryError:
        set_aside(path, "must be a file, but is a folder", "writing the file")
        part.replace(path)
    except FileNotFoundError:
        if not path.is_file():  # if it exists, another writer finished this file and removed our .part
            raise


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Put `path` into an OSError of the block that names no file, as writes to a full disk do, or its .part file."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and (error.filename is None or str(error.filename).endswith(".part")):
            error.filename = str(path)
        raise


def reserve(path: Path, n_bytes: int) -> None:
    """Give a file its size and take the space on the disk now.

    A process that writes to a mapped file on a full disk is killed (SIGBUS). Raises OSError.
    """
    with named(path), open(path, "r+b") as stream:
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(stream.fileno(), 0, n_bytes)
        else:
            stream.truncate(n_bytes)


def delete_parts(folder: Path) -> None:
    """Delete the .part files below `folder` that killed processes left, which nobody has written to for a while."""
    oldest = time.time() - SECONDS_OF_A_WRITE
    for part in list(folder.rglob(".*.part")):
        with suppress(FileNotFoundError):  # another process has finished or deleted it
            if part.stat().st_mtime < oldest:
                part.unlink()


def make_folder(folder: Path) -> None:
    """Create a folder and those above it, so that they survive a loss of power."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """Write the folder's entries to disk: without it a new or renamed file may be gone after a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSYNCABLE:
            raise
    finally:
        os.close(descriptor)

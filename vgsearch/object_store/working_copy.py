"""Local copies of folders that are stored on an object store, for machines that share no disk."""

import fcntl
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from videogan.storage.places import FileStamp, RemotePath, StorageError

TRIES = 5
"""Attempts to pull a folder whose files another process replaces at the same time."""
SECONDS_BETWEEN_PUSHES = 30.0
"""Time between uploads of small files between checkpoints, so that a driver sees that a trial is alive."""
LARGE = ("tb/", "checkpoints/")
"""Paths that are sent only with a checkpoint: files of many megabytes, each sent whole."""
MOST_PUT_BYTES = 2**22
"""Files up to this size are sent in one request; larger ones are uploaded and then moved, with twice the requests."""
HELD = ".held"
LOGGER = logging.getLogger(__name__)
LAST = "checkpoints/"
"""Paths that are sent last: a reader that finds a checkpoint also finds the records up to it."""
Wanted = Callable[[str], bool]
"""Whether a path relative to the folder, e.g. "checkpoints/step00000100.pt", is copied."""


def every(name: str) -> bool:
    return True


def copy_folder(kind: str, address: RemotePath) -> Path:
    """This machine's folder for its copy of `address`; both have the same name."""
    from videogan.data.cache import local_cache_folder  # imports pyarrow, which `vgsearch spaces` need not wait for

    digest = hashlib.sha256(str(address).encode()).hexdigest()[:12]
    return local_cache_folder(kind) / digest / address.name


@contextmanager
def used_copy(copy: Path, root: Path) -> Iterator[None]:
    """Create the folder `copy`, lock it, and delete it at the end; first delete folders below `root` that nobody locks.

    Killed processes leave their copies behind. An old `copy` is deleted too, because the stored files are the truth.
    """
    root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as holding:
        with _alone_in(root):
            with suppress(FileNotFoundError):
                shutil.rmtree(copy)
            copy.mkdir(parents=True)
            fcntl.flock(holding.enter_context(open(copy / HELD, "ab")), fcntl.LOCK_EX)
            _delete_unheld(root, copy)
        try:
            yield
        finally:
            with _alone_in(root):
                shutil.rmtree(copy, ignore_errors=True)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Lock a folder while copies in it are made and deleted: no other process may find half of one."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _delete_unheld(root: Path, own: Path) -> None:
    for other in list(root.rglob(HELD)):
        if other.parent == own:
            continue
        with suppress(OSError), open(other, "ab") as unheld:  # locked, or just deleted
            fcntl.flock(unheld, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(other.parent, ignore_errors=True)


class WorkingCopy:
    """A local folder and the address that it is a copy of: `pull` downloads, `push` uploads what changed.

    Without an address the folder itself is the stored one, and nothing is copied. Only one process may push at a time.
    """

    def __init__(self, folder: Path, address: RemotePath | None = None) -> None:
        self.folder, self.address = folder, address
        self._sent: dict[str, FileStamp] = {}
        self._pushed = time.monotonic()

    def pull(self, wanted: Wanted = every, delete: bool = True) -> None:
        """Download new and changed wanted files, and delete local ones that are no longer stored.

        `delete=False` keeps files that only this machine has: results that were not sent yet. Raises FileNotFoundError
        if stored files disappear during all TRIES attempts.
        """
        if self.address is None:
            return
        for attempt in range(TRIES):
            stored = {name: stamp for name, stamp in self.address.files().items() if _is_open(name) and wanted(name)}
            for name in filter(wanted, self._names() - stored.keys()) if delete else ():
                (self.folder / name).unlink()
            try:
                for name, stamp in stored.items():
                    self._download(name, stamp)
                return
            except FileNotFoundError:  # deleted after it was listed, as old checkpoints are
                if attempt == TRIES - 1:
                    raise

    def push(self, wanted: Wanted = every) -> None:
        """Upload each wanted file that changed since its last upload, checkpoints last.

        Delete stored files deleted here.
        """
        if self.address is None:
            return
        names = sorted(filter(wanted, self._names()), key=lambda name: (name.startswith(LAST), name))
        for name in names:
            self._upload(name)
        for name in set(filter(wanted, self._sent)) - set(names):
            (self.address / name).unlink(missing_ok=True)
            del self._sent[name]
        self._pushed = time.monotonic()

    def push_seldom(self) -> None:
        """Push the small files if the last push is SECONDS_BETWEEN_PUSHES ago; a storage error is only logged."""
        if self.address is None or time.monotonic() - self._pushed < SECONDS_BETWEEN_PUSHES:
            return
        try:
            self.push(lambda name: not name.startswith(LARGE))
        except StorageError as error:
            LOGGER.warning("%s Continuing; the files are sent later.", error)
            self._pushed = time.monotonic()

    def delete_partial_uploads(self) -> None:
        """Delete what a process killed during an upload left behind; only for the process that pushes."""
        if self.address is not None:
            for name in self.address.files():
                if name.endswith(".part"):
                    (self.address / name).unlink(missing_ok=True)

    def sizes(self, below: str = "") -> dict[str, int]:
        """Bytes of each stored file in the subfolder `below`, by path relative to it."""
        if self.address is not None:
            folder = self.address / below if below else self.address
            return {name: stamp.size for name, stamp in folder.files().items() if _is_open(name)}
        sizes = {}
        root = self.folder / below
        for path in root.rglob("*") if root.is_dir() else ():
            try:
                if path.is_file():
                    sizes[path.relative_to(root).as_posix()] = path.stat().st_size
            except FileNotFoundError:  # deleted by a running trial
                continue
        return sizes

    def remove(self, below: str) -> None:
        """Delete a subfolder, here and on the object store; of a link to a folder, what that folder contains."""
        folder = self.folder / below
        if folder.is_symlink() and folder.is_dir():
            for path in list(folder.iterdir()):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        elif folder.exists():
            shutil.rmtree(folder)
        if self.address is not None:
            (self.address / below).remove_folder()

    def _download(self, name: str, stamp: FileStamp) -> None:
        assert self.address is not None
        file = self.folder / name
        if not (file.is_file() and _stamp(file) == stamp):
            (self.address / name).copy_to(file)
            os.utime(file, ns=(stamp.mtime_ns, stamp.mtime_ns))
        self._sent[name] = _stamp(file)

    def _upload(self, name: str) -> None:
        assert self.address is not None
        file = self.folder / name
        try:
            stamp = _stamp(file)
            if self._sent.get(name) == stamp:
                return
            if stamp.size <= MOST_PUT_BYTES:
                (self.address / name).put(file.read_bytes())
            else:
                with open(file, "rb") as stream:
                    (self.address / name).write_whole(lambda sink: shutil.copyfileobj(stream, sink, 2**20))
        except FileNotFoundError:  # a temporary file that was just renamed
            return
        # The stamp from before reading: data written since is sent by the next push.
        self._sent[name] = stamp

    def _names(self) -> set[str]:
        if not self.folder.is_dir():
            return set()
        paths = (path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())
        return set(filter(_is_open, paths))


def _is_open(name: str) -> bool:
    """Whether no part of the path is hidden; hidden files are private to the process that writes them."""
    return not any(part.startswith(".") for part in name.split("/"))


def _stamp(file: Path) -> FileStamp:
    status = file.stat()
    return FileStamp(status.st_size, status.st_mtime_ns)

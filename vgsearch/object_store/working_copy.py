"""Where a folder of runs is kept for good when no disk is shared: on an object store, of which each machine works on a copy."""

import fcntl
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from videogan.storage.places import FileStamp, RemotePath, StorageError

TRIES = 5
"""Of a copy whose files another process replaces meanwhile."""
SECONDS_BETWEEN_PUSHES = 30.0
"""Of what grows while nothing is saved: enough for a driver to see that a trial lives."""
LARGE = ("tb/", "checkpoints/")
"""What is only sent with a checkpoint: files of many megabytes, sent whole."""
MOST_PUT_BYTES = 2**22
"""Sent as one part, which needs half the requests of a file that is moved when it is whole."""
HELD = ".held"
LOGGER = logging.getLogger(__name__)
LAST = "checkpoints/"
"""What is sent after all else: a reader that finds a checkpoint finds the records up to it."""
Wanted = Callable[[str], bool]
"""Asked with a path below the folder, such as "checkpoints/step00000100.pt"."""


def every(name: str) -> bool:
    return True


def copy_folder(kind: str, address: RemotePath) -> Path:
    """This machine's own folder for its copy of what is kept at `address`; it has the same name."""
    from videogan.data.cache import local_cache_folder  # and with it pyarrow, for which `vgsearch spaces` need not wait

    digest = hashlib.sha256(str(address).encode()).hexdigest()[:12]
    return local_cache_folder(kind) / digest / address.name


@contextmanager
def used_copy(copy: Path, root: Path) -> Iterator[None]:
    """Holds the folder of a copy while it is used, and deletes it then; at first those below `root` that nobody holds.

    Processes that are killed leave theirs. A copy that this one's predecessor left is deleted too: what is kept is the truth.
    """
    with suppress(FileNotFoundError):
        shutil.rmtree(copy)
    copy.mkdir(parents=True)
    with open(copy / HELD, "a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for other in list(root.rglob(HELD)):
            if other.parent == copy:
                continue
            with suppress(OSError), open(other, "a") as unheld:  # held, or deleted meanwhile
                fcntl.flock(unheld, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(other.parent, ignore_errors=True)
        try:
            yield
        finally:
            shutil.rmtree(copy, ignore_errors=True)


class WorkingCopy:
    """The address that a local folder is a copy of: `pull` brings what is there, `push` sends what changed here.

    A folder without an address is kept where it lies, and nothing is copied. One process at a time pushes to a folder.
    """

    def __init__(self, folder: Path, address: RemotePath | None = None) -> None:
        self.folder, self.address = folder, address
        self._sent: dict[str, FileStamp] = {}
        self._pushed = time.monotonic()

    def pull(self, wanted: Wanted = every, delete: bool = True) -> None:
        """Makes the wanted files of the copy those that are kept: brings new and changed ones, deletes what is there no more.

        Without `delete` what only this machine has stays: results that were not sent yet.

        Raises FileNotFoundError where files vanish as fast as they are listed.
        """
        if self.address is None:
            return
        for attempt in range(TRIES):
            kept = {name: stamp for name, stamp in self.address.files().items() if _is_open(name) and wanted(name)}
            for name in filter(wanted, self._names() - kept.keys()) if delete else ():
                (self.folder / name).unlink()
            try:
                for name, stamp in kept.items():
                    self._bring(name, stamp)
                return
            except FileNotFoundError:  # dropped since it was listed, as checkpoints are
                if attempt == TRIES - 1:
                    raise

    def push(self, wanted: Wanted = every) -> None:
        """Sends each wanted file that changed since it was last sent, checkpoints last; deletes there what was deleted here."""
        if self.address is None:
            return
        names = sorted(filter(wanted, self._names()), key=lambda name: (name.startswith(LAST), name))
        for name in names:
            self._send(name)
        for name in set(filter(wanted, self._sent)) - set(names):
            (self.address / name).unlink(missing_ok=True)
            del self._sent[name]
        self._pushed = time.monotonic()

    def push_seldom(self) -> None:
        """`push` of what is small, where the last was a while ago; what a storage out of reach does not take is sent later."""
        if self.address is None or time.monotonic() - self._pushed < SECONDS_BETWEEN_PUSHES:
            return
        try:
            self.push(lambda name: not name.startswith(LARGE))
        except StorageError as error:
            LOGGER.warning("%s Going on.", error)
            self._pushed = time.monotonic()

    def sweep_up(self) -> None:
        """Deletes there what a process that was killed while it sent left behind; for the only one that sends."""
        if self.address is not None:
            for name in self.address.files():
                if name.endswith(".part"):
                    (self.address / name).unlink(missing_ok=True)

    def forget(self) -> None:
        """Deletes this machine's copy."""
        if self.address is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._sent.clear()

    def sizes(self, below: str = "") -> dict[str, int]:
        """Bytes of the files that are kept in the folder `below` this one, by their paths in it."""
        if self.address is not None:
            folder = self.address / below if below else self.address
            return {name: stamp.size for name, stamp in folder.files().items() if _is_open(name)}
        sizes = {}
        root = self.folder / below
        for path in root.rglob("*") if root.is_dir() else ():
            try:
                if path.is_file():
                    sizes[path.relative_to(root).as_posix()] = path.stat().st_size
            except FileNotFoundError:  # a running trial deletes
                continue
        return sizes

    def remove(self, below: str) -> None:
        """Deletes a folder below this one, here and where it is kept."""
        if (self.folder / below).exists():
            shutil.rmtree(self.folder / below)
        if self.address is not None:
            (self.address / below).remove_folder()

    def _bring(self, name: str, stamp: FileStamp) -> None:
        assert self.address is not None
        file = self.folder / name
        if not (file.is_file() and _stamp(file) == stamp):
            (self.address / name).copy_to(file)
            os.utime(file, ns=(stamp.mtime_ns, stamp.mtime_ns))
        self._sent[name] = _stamp(file)

    def _send(self, name: str) -> None:
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
        except FileNotFoundError:  # a private file that was renamed meanwhile
            return
        # As it was before it was read: what was written to it since is sent the next time.
        self._sent[name] = stamp

    def _names(self) -> set[str]:
        if not self.folder.is_dir():
            return set()
        paths = (path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())
        return set(filter(_is_open, paths))


def _is_open(name: str) -> bool:
    """Hidden files belong to the process that writes them."""
    return not any(part.startswith(".") for part in name.split("/"))


def _stamp(file: Path) -> FileStamp:
    told = file.stat()
    return FileStamp(told.st_size, told.st_mtime_ns)

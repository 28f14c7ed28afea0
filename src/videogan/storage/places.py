"""Where data lies: a local path, or an address on any storage pyarrow reaches: s3://, gs://, fsspec's memory://.

Local places are plain pathlib Paths. Remote ones are RemotePaths, with those methods of a Path that data needs, so that
few callers ask which they hold. Nothing here imports a storage's own client: pyarrow brings S3, GCS and HDFS, and asks
fsspec for the rest. Keys and endpoints come from the environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL and so on).

A remote file is never mapped or read in pieces: `mirrored` copies it once, whole, into a local folder and all later
reads are of that copy. A training draws a few hundred small windows a second from anywhere in the data; at tens of
milliseconds and one charged request each, a copy that costs one pass over the data is cheaper after the first epoch.
Where the copy does not fit on the disk, data.feed=stream needs none.
"""

import os
import posixpath
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from videogan.config import ConfigurationError
from videogan.storage.atomic import write_atomically

if TYPE_CHECKING:  # where it is needed: what only names a place does not wait for it
    import pyarrow as pa
    from pyarrow import fs

# One slash is enough: pathlib makes s3:/bucket of s3://bucket. Two letters at least: c:/ is a disk.
_ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/{1,2}([^/]+)/?(.*)", re.DOTALL)


class StorageError(ConfigurationError):
    """Storage that cannot be reached or refuses, with its own reason."""


class FileStamp(NamedTuple):
    """What tells that a file has changed: its size in bytes, and when it was written, in nanoseconds by its storage's clock."""

    size: int
    mtime_ns: int


@dataclass(frozen=True)
class RemotePath:
    """A file or folder on remote storage; pickles as two strings and connects again where it arrives.

    root: scheme and authority, e.g. s3://bucket. key: the names below it, without slashes around.
    Methods raise StorageError where the storage does not answer or refuses, FileNotFoundError where nothing is there.
    """

    root: str
    key: str = ""

    def __str__(self) -> str:
        return f"{self.root}/{self.key}" if self.key else self.root

    def __truediv__(self, name: str) -> "RemotePath":
        return RemotePath(self.root, posixpath.normpath(posixpath.join(self.key, name)).strip("/"))

    @property
    def name(self) -> str:
        return posixpath.basename(self.key) or self.root.rpartition("/")[2]

    @property
    def parent(self) -> "RemotePath":
        return RemotePath(self.root, posixpath.dirname(self.key))

    def absolute(self) -> "RemotePath":
        return self

    def is_file(self) -> bool:
        from pyarrow import fs

        with self._connected() as (system, path):
            return system.get_file_info(path).type == fs.FileType.File

    def exists(self) -> bool:
        from pyarrow import fs

        with self._connected() as (system, path):
            return system.get_file_info(path).type != fs.FileType.NotFound

    def read_bytes(self) -> bytes:
        with self._connected() as (system, path), system.open_input_stream(path) as stream:
            return stream.read()

    def file_names(self) -> set[str]:
        """Names of the files in this folder; none where there is no such folder."""
        from pyarrow import fs

        with self._connected() as (system, path):
            found = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
            return {info.base_name for info in found if info.type == fs.FileType.File}

    def files(self) -> dict[str, FileStamp]:
        """Names of all files below this folder, as seen from it, with their sizes and times; none where there is no folder."""
        from pyarrow import fs

        with self._connected() as (system, path):
            found = system.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=True))
            infos = [info for info in found if info.type == fs.FileType.File]
            return {posixpath.relpath(info.path, path): FileStamp(info.size, info.mtime_ns or 0) for info in infos}

    def stamp(self) -> FileStamp | None:
        """Size and time of this file; None where there is none."""
        from pyarrow import fs

        with self._connected() as (system, path):
            info = system.get_file_info(path)
            return FileStamp(info.size, info.mtime_ns or 0) if info.type == fs.FileType.File else None

    def folder_names(self) -> set[str]:
        """Names of the folders in this folder; none where there is no such folder."""
        from pyarrow import fs

        with self._connected() as (system, path):
            found = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
            return {info.base_name for info in found if info.type == fs.FileType.Directory}

    def remove_folder(self) -> None:
        """Deletes the folder and all below it; nothing where there is no such folder."""
        with self._connected() as (system, path), suppress(FileNotFoundError):
            system.delete_dir(path)

    def unlink(self, missing_ok: bool = False) -> None:
        with self._connected() as (system, path):
            try:
                system.delete_file(path)
            except FileNotFoundError:
                if not missing_ok:
                    raise

    def put(self, content: bytes) -> None:
        """Writes a small file in one request, which an object store takes whole or not at all."""
        with self._connected() as (system, path), _output(system, path) as stream:
            stream.write(content)

    def write_whole(self, write: Callable[[BinaryIO], object]) -> None:
        """What `atomic.write_atomically` promises, here by an object of another name that is moved when it is whole.

        Closing a stream commits what it holds, also after an exception, so a stream onto the name itself would not do.
        """
        part = self.parent / f".{self.name}.{uuid.uuid4().hex[:8]}.part"
        with self._connected() as (system, path):
            part_path = posixpath.join(posixpath.dirname(path), part.name)
            try:
                with _output(system, part_path) as stream:
                    write(stream)
                try:
                    system.move(part_path, path)
                except FileNotFoundError:
                    if not self.is_file():  # it is: another writer finished this file and swept up
                        raise
            finally:
                part.unlink(missing_ok=True)

    def copy_to(self, file: Path) -> None:
        """Copies the content into a local file, whole or not at all."""
        with self._connected() as (system, path), system.open_input_stream(path) as source:
            write_atomically(file, lambda stream: shutil.copyfileobj(source, stream, 2**20))

    @contextmanager
    def _connected(self) -> "Iterator[tuple[fs.FileSystem, str]]":
        """The file system and this place's path on it; its errors come out with the address."""
        try:
            system, base = _file_system(self.root)
        except (OSError, ValueError, ImportError) as error:
            raise StorageError(
                f"{self}: {error}. Expected a local path, s3://bucket/path or gs://bucket/path."
            ) from error
        try:
            yield system, posixpath.join(base, self.key) if self.key else base
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageError(
                f"{self}: {error}. The storage must answer and allow it: check the address, the keys in the "
                "environment, and AWS_ENDPOINT_URL for an S3 server of your own."
            ) from error


Place = Path | RemotePath


def place(address: str | Place) -> Place:
    """A Path for a local path (also file://), a RemotePath for <scheme>://..., also as pathlib writes it: s3:/bucket."""
    if isinstance(address, RemotePath):
        return address
    match = _ADDRESS.fullmatch(str(address))
    if match is None or match[1] == "file":
        return Path(re.sub(r"^file:/+", "/", str(address)))
    return RemotePath(f"{match[1]}://{match[2]}", match[3].strip("/"))


def joined(folder: Place, path: str | Place) -> Place:
    """`path` as seen from `folder`: itself where it is absolute or an address."""
    there = place(path)
    return folder / str(there) if isinstance(there, Path) and not there.is_absolute() else there


def file_names(folder: Place) -> set[str]:
    """Names of the files in a folder; none where there is no such folder."""
    if isinstance(folder, RemotePath):
        return folder.file_names()
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except FileNotFoundError:
        return set()


def mirrored(file: Place, folder: Path) -> Path:
    """A local file with the content of `file`: itself, or its copy in `folder`, made whole at the first call."""
    if isinstance(file, Path):
        return file
    copy = folder / file.name
    if not copy.is_file():
        file.copy_to(copy)
    return copy


@contextmanager
def fetched(file: Place) -> Iterator[Path]:
    """A local file with the content of `file` for the time of the block, for readers that need one."""
    if isinstance(file, Path):
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="vgsearch-") as folder:
        copy = Path(folder) / file.name  # the same name: its suffix tells what is inside
        file.copy_to(copy)
        yield copy


@lru_cache
def _file_system(root: str) -> "tuple[fs.FileSystem, str]":
    """One connection for each bucket of this process, and the path of its root."""
    import pyarrow as pa
    from pyarrow import fs

    try:
        return fs.FileSystem.from_uri(root)
    except pa.ArrowInvalid as error:
        if "Unrecognized filesystem" not in str(error):
            raise
    return fs.FileSystem.from_uri(f"fsspec+{root}")


def _output(system: "fs.FileSystem", path: str) -> "pa.NativeFile":
    try:
        return system.open_output_stream(path)
    except FileNotFoundError:  # a storage with real folders
        system.create_dir(posixpath.dirname(path), recursive=True)
        return system.open_output_stream(path)

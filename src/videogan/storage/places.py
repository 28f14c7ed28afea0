"""Places of data: a local path, or an address on any storage that pyarrow supports (s3://, gs://, fsspec's memory://).

Local places are plain pathlib Paths. Remote ones are RemotePaths, which have the Path methods that data needs, so most
callers need not distinguish them. No storage's own client is imported: pyarrow supports S3, GCS and HDFS, and uses
fsspec for the rest. Keys and endpoints come from the environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL and so on).

A remote file is never mapped or read in pieces: `mirrored` copies it once into a local folder, and all later reads use
that copy. Training reads a few hundred small windows per second from anywhere in the data. Each remote read would take
tens of milliseconds and one charged request, so copying everything once is cheaper after the first epoch. If the copy
does not fit on the disk, use data.feed=stream, which needs no copy.
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
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple

from videogan.config import ConfigurationError
from videogan.storage.address_secrets import has_secret, without_secrets
from videogan.storage.atomic import write_atomically

if TYPE_CHECKING:  # imported inside functions: code that only names a place need not wait for pyarrow
    import pyarrow as pa
    from pyarrow import fs

# One slash is enough: pathlib turns s3://bucket into s3:/bucket. At least two letters: c:/ is a disk.
_ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/{1,2}([^/]+)/?(.*)", re.DOTALL)


class StorageError(ConfigurationError):
    """The storage cannot be reached or refused a request; the message includes its reason."""


class FileStamp(NamedTuple):
    """Size in bytes and modification time in nanoseconds (the storage's clock); they change when the file changes."""

    size: int
    mtime_ns: int


@dataclass(frozen=True)
class RemotePath:
    """A file or folder on remote storage; pickles as two strings and reconnects after unpickling.

    root: scheme and authority, e.g. s3://bucket. key: the path below it, without leading or trailing slashes.
    Methods raise StorageError if the storage does not answer or refuses, FileNotFoundError if there is no such file.
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
        """Names of the files in this folder; empty if the folder does not exist."""
        return self._names("File")

    def files(self) -> dict[str, FileStamp]:
        """Relative paths of all files below this folder, with their stamps; empty if the folder does not exist."""
        from pyarrow import fs

        with self._connected() as (system, path):
            found = system.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=True))
            infos = [info for info in found if info.type == fs.FileType.File]
            return {posixpath.relpath(info.path, path): FileStamp(info.size, info.mtime_ns or 0) for info in infos}

    def stamp(self) -> FileStamp | None:
        """Size and time of this file; None if there is no such file."""
        from pyarrow import fs

        with self._connected() as (system, path):
            info = system.get_file_info(path)
            return FileStamp(info.size, info.mtime_ns or 0) if info.type == fs.FileType.File else None

    def folder_names(self) -> set[str]:
        """Names of the folders in this folder; empty if the folder does not exist."""
        return self._names("Directory")

    def _names(self, kind: Literal["File", "Directory"]) -> set[str]:
        from pyarrow import fs

        with self._connected() as (system, path):
            found = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
            return {info.base_name for info in found if info.type == getattr(fs.FileType, kind)}

    def remove_folder(self) -> None:
        """Delete the folder and everything below it, if it exists."""
        with self._connected() as (system, path), suppress(FileNotFoundError):
            system.delete_dir(path)

    def unlink(self, missing_ok: bool = False) -> None:
        with self._connected() as (system, path):
            try:
                system.delete_file(path)
            except FileNotFoundError:
                if not missing_ok:
                    raise

    def rename(self, name: str) -> None:
        """Give this file another name in its folder; raises FileNotFoundError."""
        with self._connected() as (system, path):
            system.move(path, posixpath.join(posixpath.dirname(path), name))

    def put(self, content: bytes) -> None:
        """Write a small file in one request, which an object store accepts or refuses as a whole."""
        with self._connected() as (system, path), _output(system, path) as stream:
            stream.write(content)

    def write_whole(self, write: Callable[[BinaryIO], object]) -> None:
        """Write atomically, as `atomic.write_atomically` does: write an object of another name, then move it.

        Closing a stream commits its content even after an exception, so writing to the final name would not be atomic.
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
                    if not self.is_file():  # if it exists, another writer finished this file and removed our .part
                        raise
            finally:
                part.unlink(missing_ok=True)

    def copy_to(self, file: Path) -> None:
        """Copy the content into a local file, atomically."""
        with self._connected() as (system, path), system.open_input_stream(path) as source:
            write_atomically(file, lambda stream: shutil.copyfileobj(source, stream, 2**20))

    @contextmanager
    def _connected(self) -> "Iterator[tuple[fs.FileSystem, str]]":
        """The file system and this place's path on it; its errors are raised with the address."""
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
                f"{self}: {error}. Check the address, the access keys in the environment, and AWS_ENDPOINT_URL if you "
                "use your own S3 server."
            ) from error


Place = Path | RemotePath


def place(address: str | Place) -> Place:
    """A Path for a local path or file://, a RemotePath for <scheme>://... and for pathlib's spelling s3:/bucket.

    Raises ConfigurationError for an address that contains a secret, and for one with a part . or ..: on an object store
    they are no folders, while in a local copy they are.
    """
    if isinstance(address, RemotePath):
        return address
    match = _ADDRESS.fullmatch(str(address))
    if match is None or match[1] == "file":
        return Path(re.sub(r"^file:/+", "/", str(address)))
    if has_secret(str(address)):
        raise ConfigurationError(
            f"{without_secrets(str(address))}: an address must not contain a key, a password or a token, which files "
            "and messages would show. Give them in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "GOOGLE_APPLICATION_CREDENTIALS), or in the storage's own configuration file."
        )
    if {".", ".."} & set(match[3].split("/")):
        raise ConfigurationError(
            f"{address}: an address must not contain . or .. as a folder; write the folder's path."
        )
    return RemotePath(f"{match[1]}://{match[2]}", match[3].strip("/"))


def joined(folder: Place, path: str | Place) -> Place:
    """`path` relative to `folder`; `path` itself if it is absolute or an address."""
    given = place(path)
    return folder / str(given) if isinstance(given, Path) and not given.is_absolute() else given


def file_names(folder: Place) -> set[str]:
    """Names of the files in a folder; empty if the folder does not exist."""
    if isinstance(folder, RemotePath):
        return folder.file_names()
    try:
        with os.scandir(folder) as entries:
            # Not entry.is_file(): it raises for a link that leads to itself, as this does not.
            return {entry.name for entry in entries if os.path.isfile(entry.path)}
    except FileNotFoundError:
        return set()


def mirrored(file: Place, folder: Path) -> Path:
    """A local file with the content of `file`: itself, or its copy in `folder`, which the first call makes."""
    if isinstance(file, Path):
        return file
    copy = folder / file.name
    if not copy.is_file():
        file.copy_to(copy)
    return copy


@contextmanager
def fetched(file: Place) -> Iterator[Path]:
    """Provide a local file with the content of `file` during the block."""
    if isinstance(file, Path):
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="vgsearch-") as folder:
        copy = Path(folder) / file.name  # keep the name: readers choose by its suffix
        file.copy_to(copy)
        yield copy


@lru_cache
def _file_system(root: str) -> "tuple[fs.FileSystem, str]":
    """The file system of a bucket and the path of its root; one connection per bucket and process."""
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
    except FileNotFoundError:  # this storage has real folders
        system.create_dir(posixpath.dirname(path), recursive=True)
        return system.open_output_stream(path)

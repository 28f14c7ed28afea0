"""The cache of decoded clips: whole files as uint8, decoded once, memory-mapped by all trials. No torch here.

A cache is a folder of shards and an index, which is written last: without an index the cache is unfinished. The files
and the name of each shard follow from the cache's key, so a build needs no lock and no journal: it decodes the shards
that are missing. After an interruption the next build reuses the finished shards; concurrent builds write the same
files.
"""

import hashlib
import json
import os
import shutil
import sys
import uuid
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from videogan.data.decode import DECODER_VERSION
from videogan.data.manifest import DataError, Manifest
from videogan.data.preprocessing import Preprocessing, preprocessing_named
from videogan.storage.atomic import write_atomically
from videogan.storage.home import home_folder
from videogan.storage.places import Place, file_names, mirrored, place
from videogan.storage.set_aside import set_aside

INDEX_NAME = "index.json"
MAX_OPEN_SHARDS = 256  # each holds an open file, and systems often allow 1,024
CLIPS_PER_SHARD = 16  # the most that an interruption costs each worker
_SCHEMA = pa.schema(
    [
        ("sha", pa.string()),
        ("n_frames", pa.int32()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("frames", pa.large_binary()),  # uint8 (n_frames, height, width, 3), C order
        ("checksum", pa.uint32()),  # `_checksum` of all other columns; absent in shards of earlier versions
    ]
)
SHAPE = ("n_frames", "height", "width")


class DamagedShard(DataError):
    """A shard of a clip cache is missing, cut or changed; `name` is its file's."""

    def __init__(self, folder: Place, name: str, why: str) -> None:
        super().__init__(
            f"{folder / name}: this shard of the clip cache {why}. Run the command again to decode it anew."
        )
        self.folder, self.name, self.why = folder, name, why

    def __reduce__(self) -> tuple:
        return type(self), (self.folder, self.name, self.why)


def cache_folder(kind: str) -> Place:
    """`$VGSEARCH_CACHE/<kind>`, else `vgsearch/<kind>` in the user's cache folder.

    Kinds: clips, classifiers, inspections, data, evaluations.
    """
    chosen = os.environ.get("VGSEARCH_CACHE")
    return place(os.path.expanduser(chosen)).absolute() / kind if chosen else _user_cache() / kind


def local_cache_folder(kind: str) -> Path:
    """`cache_folder` on a local file system: in the user's cache folder if VGSEARCH_CACHE is remote."""
    folder = cache_folder(kind)
    return folder if isinstance(folder, Path) else _user_cache() / kind


def _user_cache() -> Path:
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "vgsearch"
    return home_folder() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "vgsearch"


def cache_key(manifest: Manifest, preprocessing: Preprocessing) -> str:
    """sha256 (hex) of the files' contents, the preprocessing and the decoder; labels and splits do not matter."""
    identity = [manifest.usable["sha"].to_pylist(), preprocessing.name, DECODER_VERSION]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def clip_cache_folder(manifest: Manifest, preprocessing: Preprocessing) -> Place:
    """The folder of a data set's decoded clips, which may not exist yet."""
    return cache_folder("clips") / f"{preprocessing.name}-{cache_key(manifest, preprocessing)[:16]}"


def mirror_folder(folder: Place) -> Path:
    """The folder this machine reads a cache's shards from: the cache itself if it is local, else a local copy."""
    return folder if isinstance(folder, Path) else local_cache_folder("mirrored") / folder.name


def is_complete(folder: Place) -> bool:
    """Whether a cache is finished; its index is written last."""
    return (folder / INDEX_NAME).exists()


def is_usable(folder: Place) -> bool:
    """Whether a cache is finished and has all its shards; otherwise its index is set aside, with a warning."""
    if not is_complete(folder):
        return False
    try:
        gone = read_index(folder)["shards"].keys() - file_names(folder)
        why = f"names {len(gone)} shards that are missing, such as {min(gone)}" if gone else ""
    except DataError as error:
        why = str(error).removeprefix(f"{folder / INDEX_NAME} ").removesuffix(".")
    if why:
        set_aside(folder / INDEX_NAME, why, "missing shards are decoded again")
    return not why


def read_index(folder: Place) -> dict[str, Any]:
    """The index of a cache; raises DataError if it is damaged. Any: JSON."""
    try:
        index = json.loads((folder / INDEX_NAME).read_bytes())
        preprocessing_named(index["preprocessing"])
        if not all(isinstance(shas, list) for shas in index["shards"].values()) or not isinstance(
            index["skipped"], dict
        ):
            raise TypeError("shards and skipped must be objects")
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise DataError(f"{folder / INDEX_NAME} must be the index of a clip cache ({error}).") from error
    return index


def decoded_bytes(manifest: Manifest, preprocessing: Preprocessing) -> int:
    """Size in bytes of a data set's decoded clips."""
    lengths = manifest.usable["n_frames"].to_numpy()
    return int(lengths.sum(dtype=np.int64)) * preprocessing.size**2 * 3


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Provide a private folder that becomes `folder` if the block succeeds; the first of two builders wins."""
    staging = folder.with_name(f"{folder.name}.building-{uuid.uuid4().hex[:8]}")
    staging.mkdir(parents=True)
    try:
        yield staging
        try:
            os.rename(staging, folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@dataclass(frozen=True)
class ClipShard:
    """The files of one cache shard, by sha, in order; files that fail to decode are left out of the written shard."""

    shas: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{hashlib.sha256(' '.join(self.shas).encode()).hexdigest()[:32]}.arrow"

    @property
    def skipped_name(self) -> str:
        """The file that lists the shas left out of the shard and the reasons; absent if none is left out."""
        return f"{self.name}.skipped.json"


def planned_shards(shas: Sequence[str]) -> list[ClipShard]:
    """The shards for these files; repeated files count once."""
    once = list(dict.fromkeys(shas))
    return [ClipShard(tuple(once[at : at + CLIPS_PER_SHARD])) for at in range(0, len(once), CLIPS_PER_SHARD)]


def missing_shards(folder: Place, shards: Sequence[ClipShard]) -> list[ClipShard]:
    """The `shards` that no build has finished, and those whose list of skipped files is damaged."""
    finished = file_names(folder)
    return [
        shard
        for shard in shards
        if shard.name not in finished or (shard.skipped_name in finished and _skipped_of(folder, shard) is None)
    ]


def _skipped_of(folder: Place, shard: ClipShard) -> dict[str, str] | None:
    """The files left out of a shard, and the reasons; None if the list cannot be read."""
    try:
        skipped = json.loads((folder / shard.skipped_name).read_bytes())
    except ValueError:
        return None
    return skipped if isinstance(skipped, dict) and skipped.keys() <= set(shard.shas) else None


def write_shard(folder: Place, shard: ClipShard, clips: Iterable[tuple[str, np.ndarray | str]]) -> None:
    """Write a shard as one Arrow IPC file, clip by clip, atomically.

    clips: for each sha of the shard, in order, uint8 (T, H, W, 3), or the reason why there are no frames.
    """
    skipped: dict[str, str] = {}

    def decoded() -> Iterator[tuple[str, np.ndarray]]:
        for sha, frames in clips:
            if isinstance(frames, str):
                skipped[sha] = frames
            else:
                yield sha, frames

    def write(stream: BinaryIO) -> None:
        write_clips(stream, decoded())
        if skipped:  # before the shard appears: a reader who sees the shard expects both files
            write_atomically(folder / shard.skipped_name, lambda other: other.write(json.dumps(skipped).encode()))

    write_atomically(folder / shard.name, write)


def write_clips(stream: BinaryIO, clips: Iterable[tuple[str, np.ndarray]]) -> None:
    """Write the content of a shard: for each sha its frames, uint8 (T, H, W, 3)."""
    with pa.ipc.new_file(stream, _SCHEMA) as writer:
        for sha, frames in clips:
            writer.write_batch(_batch(sha, np.ascontiguousarray(frames)))


def _batch(sha: str, frames: np.ndarray) -> pa.RecordBatch:
    n_frames, height, width, _ = shape = frames.shape
    columns = [[sha], [n_frames], [height], [width], [frames.data], [_checksum(sha, shape[:3], frames.data)]]
    arrays = [pa.array(values, type=kind) for values, kind in zip(columns, _SCHEMA.types, strict=True)]
    return pa.record_batch(arrays, schema=_SCHEMA)


def _checksum(sha: str, shape: Sequence[int], frames: memoryview | pa.Buffer) -> int:
    """CRC-32 of a clip's name, its shape (n_frames, height, width) and its frames."""
    return zlib.crc32(frames, zlib.crc32(f"{sha} {[int(n) for n in shape]}".encode()))


def write_index(folder: Place, preprocessing: Preprocessing, shards: Sequence[ClipShard]) -> None:
    """Finish a cache of these shards and delete .part files of killed builders. DataError if shards are missing."""
    missing = missing_shards(folder, shards)
    if missing:
        raise DataError(
            f"{folder}: {len(missing)} of {len(shards)} cache shards are missing: other nodes wrote them elsewhere. "
            "Set VGSEARCH_CACHE to a folder that all nodes share, or pass --set data.feed=stream."
        )
    names = file_names(folder)
    skipped: dict[str, str] = {}
    for shard in shards:
        if shard.skipped_name in names:
            skipped |= _skipped_of(folder, shard) or {}
    held = {shard.name: [sha for sha in shard.shas if sha not in skipped] for shard in shards}
    content = {"preprocessing": preprocessing.name, "shards": held, "skipped": skipped}
    write_atomically(folder / INDEX_NAME, lambda stream: stream.write(json.dumps(content).encode()))
    for name in names:
        if name.endswith(".part"):
            (folder / name).unlink(missing_ok=True)


class CachedFiles:
    """The decoded files of a complete cache by sha; pickles as its folder and maps the shards again after unpickling.

    Shards of a remote cache are copied to `mirror_folder` when they are first read, and mapped there.
    """

    def __init__(self, folder: Place | str) -> None:
        self.folder = place(folder)
        self._readers: OrderedDict[str, _Mapped] = OrderedDict()
        """The shards in use, the latest last."""
        if not is_complete(self.folder):
            raise DataError(
                f"{self.folder}: this clip cache is unfinished (no {INDEX_NAME}). Run the command again to finish it."
            )
        index = read_index(self.folder)
        self._checked: set[str] = set()
        """The files whose checksums this process has compared."""
        self.preprocessing_name: str = index["preprocessing"]
        self.skipped: dict[str, str] = index["skipped"]
        self._places = {sha: (name, row) for name, shas in index["shards"].items() for row, sha in enumerate(shas)}

    def __reduce__(self) -> tuple:
        return type(self), (self.folder,)

    def __len__(self) -> int:
        return len(self._places)

    def frames(self, sha: str) -> np.ndarray:
        """The whole file as uint8 (T, H, W, 3): a read-only view of the mapped shard, without a copy.

        The first call for a file in a process compares its checksum; raises DamagedShard.
        """
        name, row = self._places[sha]
        try:
            batch = self._mapped(name).reader.get_batch(row)
            shape = [batch[column][0].as_py() for column in SHAPE]
            content = batch["frames"][0].as_buffer()
            if sha not in self._checked and "checksum" in batch.schema.names:
                if batch["checksum"][0].as_py() != _checksum(sha, shape, content):
                    raise ValueError(f"the checksum of clip {row} is wrong")
                self._checked.add(sha)
            frames = np.frombuffer(content, np.uint8).reshape(*shape, 3)
        # By the place of the damage Arrow raises ArrowInvalid (a ValueError), OSError, KeyError, IndexError, TypeError.
        except (ValueError, OSError, LookupError, TypeError, pa.ArrowException) as error:
            raise DamagedShard(self.folder, name, f"is damaged ({str(error).splitlines()[0]})") from error
        frames.flags.writeable = False  # numpy does not know that the mapping is read-only; a write would crash
        return frames

    def shas_of(self, shard: str) -> list[str]:
        """The files in a shard, in order."""
        return [sha for sha, (name, _) in self._places.items() if name == shard]

    def reopen(self, shard: str) -> None:
        """Read a shard anew, because its file was replaced; on this machine's copy of a remote one too."""
        self._readers.pop(shard, None)
        self._checked -= set(self.shas_of(shard))
        if not isinstance(self.folder, Path):
            (mirror_folder(self.folder) / shard).unlink(missing_ok=True)

    def _mapped(self, name: str) -> "_Mapped":
        """A shard, mapped anew if its file has changed since: a read beyond a cut file's end kills the process."""
        if name in self._readers:
            self._readers.move_to_end(name)
            if not self._readers[name].has_changed():
                return self._readers[name]
            self._checked -= set(self.shas_of(name))
        shard = mirrored(self.folder / name, mirror_folder(self.folder))
        mapped = self._readers[name] = _Mapped(shard)
        if len(self._readers) > MAX_OPEN_SHARDS:
            self._readers.popitem(last=False)
        return mapped


class _Mapped:
    """A shard file in memory, and its size and time when it was mapped."""

    def __init__(self, path: Path) -> None:
        self._file = pa.memory_map(str(path))
        self._stamp = self._now()
        self.reader: pa.ipc.RecordBatchFileReader = pa.ipc.open_file(self._file)

    def has_changed(self) -> bool:
        """Whether the mapped file was cut or written to; a new file of its name leaves it as it is."""
        return self._now() != self._stamp

    def _now(self) -> tuple[int, int]:
        found = os.fstat(self._file.fileno())
        return found.st_size, found.st_mtime_ns

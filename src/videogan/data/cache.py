"""The decoded-clip cache: whole files as uint8, decoded once, memory-mapped by all trials. No torch here."""

import hashlib
import json
import os
import shutil
import sys
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from videogan.atomic import write_atomically
from videogan.data.decode import DECODER_VERSION, Preprocessing
from videogan.data.manifest import DataError, Manifest

INDEX_NAME = "index.json"
_SCHEMA = pa.schema(
    [
        ("sha", pa.string()),
        ("n_frames", pa.int32()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("frames", pa.large_binary()),  # uint8 (n_frames, height, width, 3), C order
    ]
)


def cache_folder(kind: str) -> Path:
    """`$VGSEARCH_CACHE/<kind>`, else `vgsearch/<kind>` in the user's cache folder; kinds: clips, classifiers, data."""
    chosen = os.environ.get("VGSEARCH_CACHE")
    if chosen:
        return Path(chosen).absolute() / kind
    usual = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return Path(os.environ.get("XDG_CACHE_HOME") or usual) / "vgsearch" / kind


def cache_key(manifest: Manifest, preprocessing: Preprocessing) -> str:
    """sha256 (hex) of the files' contents, the preprocessing and the decoder, not of labels or splits."""
    identity = [manifest.usable["sha"].to_pylist(), preprocessing.name, DECODER_VERSION]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def clip_cache_folder(manifest: Manifest, preprocessing: Preprocessing) -> Path:
    """Where the decoded clips of a data set lie, made or not yet made."""
    return cache_folder("clips") / f"{preprocessing.name}-{cache_key(manifest, preprocessing)[:16]}"


def is_complete(folder: Path) -> bool:
    """Whether a cache was finished; its index is written last."""
    return (folder / INDEX_NAME).is_file()


def decoded_bytes(manifest: Manifest, preprocessing: Preprocessing) -> int:
    """Bytes that the decoded clips of a data set take."""
    lengths = manifest.usable["n_frames"].to_numpy()
    return int(lengths.sum(dtype=np.int64)) * preprocessing.size**2 * 3


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A private folder that becomes `folder` when the block ends well; of two builders the first wins."""
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


def write_shard(folder: Path, clips: Iterable[tuple[str, np.ndarray]]) -> tuple[str, list[str]]:
    """Writes (sha, uint8 (T, H, W, 3)) clips as one Arrow IPC file; returns its name and the shas."""
    name, shas = f"{uuid.uuid4().hex}.arrow", []
    with pa.OSFile(str(folder / f"{name}.part"), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
        for sha, frames in clips:
            n_frames, height, width, _ = frames.shape
            columns = [[sha], [n_frames], [height], [width], [np.ascontiguousarray(frames).data]]
            arrays = [pa.array(values, type=kind) for values, kind in zip(columns, _SCHEMA.types, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=_SCHEMA))
            shas.append(sha)
    os.replace(folder / f"{name}.part", folder / name)
    return name, shas


def write_index(
    folder: Path, preprocessing: Preprocessing, shards: dict[str, list[str]], skipped: dict[str, str]
) -> None:
    """Completes a cache: shard -> shas in it, and unreadable sha -> reason. DataError on a missing shard."""
    missing = [name for name in shards if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(shards)} cache shards were written where this machine cannot see them. "
            "Set VGSEARCH_CACHE to a folder all nodes share, or --set data.feed=stream."
        )
    content = {"preprocessing": preprocessing.name, "shards": shards, "skipped": skipped}
    write_atomically(folder / INDEX_NAME, lambda stream: stream.write(json.dumps(content).encode()))


@dataclass
class CachedFiles:
    """The decoded files of a complete cache by sha; pickles as its folder and maps the shards where it arrives."""

    folder: Path
    _places: dict[str, tuple[str, int]] = field(init=False, repr=False)
    _readers: dict[str, pa.ipc.RecordBatchFileReader] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        if not is_complete(self.folder):
            raise DataError(
                f"{self.folder} is no finished clip cache (no {INDEX_NAME}). Delete it; the next run builds it."
            )
        index = json.loads((self.folder / INDEX_NAME).read_text())
        self.preprocessing_name: str = index["preprocessing"]
        self.skipped: dict[str, str] = index["skipped"]
        self._places = {sha: (name, row) for name, shas in index["shards"].items() for row, sha in enumerate(shas)}

    def __reduce__(self) -> tuple:
        return type(self), (self.folder,)

    def __len__(self) -> int:
        return len(self._places)

    def frames(self, sha: str) -> np.ndarray:
        """The whole file as uint8 (T, H, W, 3): a read-only view of the mapped shard, nothing is copied."""
        name, row = self._places[sha]
        if name not in self._readers:
            self._readers[name] = pa.ipc.open_file(pa.memory_map(str(self.folder / name)))
        batch = self._readers[name].get_batch(row)
        shape = [batch[column][0].as_py() for column in ("n_frames", "height", "width")]
        frames = np.frombuffer(batch["frames"][0].as_buffer(), np.uint8).reshape(*shape, 3)
        frames.flags.writeable = False  # numpy doesn't see that the mapping is read-only: a write would be a segfault
        return frames

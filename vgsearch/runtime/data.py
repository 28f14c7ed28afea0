"""Ray Data on video files: checking them, and decoding them into the shared cache."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from videogan.data.cache import clip_cache_folder, is_complete, staged, write_index, write_shard
from videogan.data.decode import (
    Limits,
    MissingVideo,
    UnreadableVideo,
    decode,
    file_sha,
    inspect,
    preprocessing_named,
)
from videogan.data.manifest import DataError, Manifest

if TYPE_CHECKING:
    from videogan.data.clips import DataConfig

OnProgress = Callable[[int, int], None]  # (clips done, clips in all)
DECODE_CPUS = 1.0  # of a task that decodes whole files, before any training starts
FILES_PER_TASK = 8
CLIPS_PER_SHARD = 16


def inspect_videos(paths: Sequence[Path], limits: Limits, on_progress: OnProgress) -> dict[Path, dict[str, Any]]:
    """Decodes every file from end to end, in parallel: the manifest's columns of each, and `warning` (None: fine)."""
    dataset = silent_ray_data().from_items([{"path": str(path)} for path in paths], override_num_blocks=n_tasks(paths))
    found = {}
    for row in dataset.map(partial(_inspected, limits=limits), num_cpus=DECODE_CPUS).iter_rows():
        path = Path(row.pop("path"))
        found[path] = row | {name: row[name] or None for name in ("skipped", "warning", "sha", "codec")}
        on_progress(len(found), len(paths))
    return found


def _inspected(row: dict[str, str], limits: Limits) -> dict[str, Any]:
    # Every row has the same types ("" for none), since Arrow blocks of one data set must.
    unknown = {"n_frames": 0, "fps": 0.0, "width": 0, "height": 0, "codec": "", "sha": "", "warning": ""}
    try:
        seen = inspect(row["path"], limits)
    except UnreadableVideo as error:
        return {**row, **unknown, "skipped": error.reason}
    info = {name: getattr(seen.info, name) for name in ("fps", "width", "height", "codec")}
    return {**row, **info, "n_frames": seen.n_frames, "sha": seen.sha, "warning": seen.warning or "", "skipped": ""}


def build_cache(
    manifest: Manifest, preprocessing: str, config: "DataConfig", on_progress: OnProgress = lambda done, total: None
) -> Path:
    """The folder of the data set's decoded clips; decodes them where no earlier run did.

    Tasks write shards into a private folder, which is renamed when whole. Files that don't decode are recorded as
    skipped. Raises DataError where files are gone or changed since the manifest was made.
    """
    named = preprocessing_named(preprocessing)
    folder = clip_cache_folder(manifest, named)
    if is_complete(folder):
        return folder
    usable = manifest.usable.select(["sha", "path"]).to_pylist()
    files = {row["sha"]: str(manifest.location(row["path"])) for row in usable}
    rows = [{"sha": sha, "path": path} for sha, path in files.items()]
    n_shards = math.ceil(len(rows) / CLIPS_PER_SHARD)
    with staged(folder) as staging:
        write = partial(_write_shard, folder=staging, preprocessing=preprocessing, limits=config.limits)
        dataset = silent_ray_data().from_items(rows, override_num_blocks=n_shards)
        written = dataset.map_batches(write, batch_size=CLIPS_PER_SHARD, num_cpus=DECODE_CPUS)
        shards: dict[str, list[str]] = {}
        skipped, lost = {}, []
        for n_done, row in enumerate(written.iter_rows(), start=1):
            if row["lost"]:
                lost.append(f"{files[row['sha']]}: {row['lost']}")
            elif row["skipped"]:
                skipped[row["sha"]] = row["skipped"]
            else:
                shards.setdefault(row["shard"], []).append(row["sha"])
            on_progress(n_done, len(rows))
        if lost:
            raise DataError(f"{lost[0]} ({len(lost)} such files). Make the manifest again with: vgsearch data import")
        write_index(staging, named, shards, skipped)
    return folder


def _write_shard(
    batch: dict[str, np.ndarray], folder: Path, preprocessing: str, limits: Limits
) -> dict[str, list[str]]:
    """Decodes a batch of files one by one into one shard; a row for each file tells where it went or why it did not."""
    skipped, lost = {}, {}

    def clips() -> Iterator[tuple[str, np.ndarray]]:
        for sha, path in zip(batch["sha"], batch["path"], strict=True):
            try:
                if Path(path).is_file() and file_sha(path) != sha:
                    lost[sha] = "changed since the manifest was made"
                    continue
                frames = decode(path, preprocessing_named(preprocessing), limits)
            except MissingVideo as error:
                lost[sha] = error.reason
            except UnreadableVideo as error:
                skipped[sha] = error.reason
            else:
                yield str(sha), frames

    shard, written = write_shard(folder, clips())
    others = [str(sha) for sha in (*skipped, *lost)]
    # The written ones first and in the shard's order: the index counts on it.
    return {
        "sha": written + others,
        "shard": [shard] * len(written) + [""] * len(others),
        "skipped": [skipped.get(sha, "") for sha in written + others],
        "lost": [lost.get(sha, "") for sha in written + others],
    }


def silent_ray_data() -> Any:
    """ray.data, silent: the commands print their own progress."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    return ray.data


def n_tasks(paths: Sequence[Path | str]) -> int:
    return max(1, math.ceil(len(paths) / FILES_PER_TASK))

"""Inspects video files and decodes them into the shared cache by Ray Data; both continue after being killed."""

import logging
import math
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
import ray.data

from vgsearch.runtime.waits.beats import beating
from vgsearch.runtime.waits.waiting import waiting
from vgsearch.runtime.waits.watch import state_of_tasks
from videogan.data.cache import (
    ClipShard,
    clip_cache_folder,
    is_complete,
    is_usable,
    missing_shards,
    planned_shards,
    write_index,
)
from videogan.data.decode import Limits, UnreadableVideo, inspect
from videogan.data.journal import journal_folder, journal_writer, read_journal, signature
from videogan.data.manifest import DataError, Manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.data.shard_decoding import decode_shard
from videogan.storage.places import Place, RemotePath, place

if TYPE_CHECKING:  # it imports torch, which workers that decode do without
    from videogan.data.clips import DataConfig

OnProgress = Callable[[int, int], None]  # (clips done, clips in all)
DECODE_CPUS = 1.0  # per task that decodes whole files, before any training starts
FILES_PER_TASK = 8
# Retries of a decoding task whose process died. Ray Data retries forever by default, so a file that always crashes the
# decoder would stop the work without an error.
MOST_RETRIES = 3
INSPECTION, DECODING = "inspection of videos", "decoding of clips"
KEPT = "it ends when all are decoded; Ctrl-C stops and keeps those"
MOST_ALONE = 64  # files inspected at once, each in its own task
# The row of an unreadable file. All rows have the same types ("" for none): the Arrow blocks of a data set must agree.
UNKNOWN = {"n_frames": 0, "fps": 0.0, "width": 0, "height": 0, "codec": "", "sha": "", "warning": "", "thumbnails": ""}
_TEXTS = ("skipped", "warning", "sha", "codec", "thumbnails")  # text columns of an inspection


def inspect_videos(paths: Sequence[Path], limits: Limits, on_progress: OnProgress) -> dict[Path, dict[str, Any]]:
    """Decode every file from end to end, in parallel; returns its columns of the manifest, and `warning` (or None) and
    `thumbnails` (in hex, or None).

    A journal keeps the result of each file, so that a file inspected before and unchanged since is not decoded again.
    Raises DataError for a video on remote storage.
    """
    if not paths:
        return {}
    remote = next((path for path in paths if isinstance(path, RemotePath)), None)
    if remote is not None:
        raise DataError(f"{remote}: videos are inspected as local files. Copy them into a folder and import that.")
    journal = journal_folder(paths, limits)
    found = read_journal(journal, paths)
    if found:
        on_progress(len(found), len(paths))
    rows = [{"path": str(path)} for path in paths if path not in found]
    with waiting(INSPECTION, KEPT, state_of_tasks(INSPECTION)):
        for row in _inspections(rows, partial(_inspected, limits=limits, journal=journal)) if rows else ():
            found[Path(row.pop("path"))] = row
            on_progress(len(found), len(paths))
    return {path: row | {name: row[name] or None for name in _TEXTS} for path, row in found.items()}


def _inspections(rows: list[dict[str, str]], inspected: Callable[[dict], dict]) -> Iterator[dict[str, Any]]:
    """The inspection of each file of `rows`; a file that crashes the decoder's process is skipped by name."""
    dataset = silent_ray_data().from_items(rows, override_num_blocks=n_tasks(rows))
    done = set()
    try:
        for row in decoding(dataset.map_batches, inspected, DECODE_CPUS, batch_size=FILES_PER_TASK).iter_rows():
            done.add(row["path"])
            yield row
    except ray.exceptions.WorkerCrashedError:
        # Any file of the block may be the cause: each remaining file gets its own task.
        task: Any = ray.remote(num_cpus=DECODE_CPUS, max_retries=1)(lambda path: inspected({"path": [path]}))
        running: dict[Any, str] = {}
        waiting = [row["path"] for row in rows if row["path"] not in done]
        while waiting or running:
            while waiting and len(running) < MOST_ALONE:
                path = waiting.pop()
                running[task.remote(path)] = path
            (ready,), _ = ray.wait(list(running), num_returns=1)  # `waiting` tells
            path = running.pop(ready)
            try:
                columns = ray.get(ready)
            except ray.exceptions.WorkerCrashedError:
                yield {"path": path, **UNKNOWN, "skipped": "the decoder crashed on it, twice"}
            else:
                yield {name: values[0] for name, values in columns.items()}


def _inspected(batch: dict[str, np.ndarray], limits: Limits, journal: Place) -> dict[str, list[Any]]:
    """`path` and the columns of `_inspection` for each file, which the journal gets one by one."""
    rows = []
    with journal_writer(journal) as write, beating(f"{INSPECTION}, from {batch['path'][0]} on"):
        for path in map(str, batch["path"]):
            before = signature(Path(path))
            row = _inspection(path, limits)
            write(path, before, row)
            rows.append({"path": path} | row)
    return {name: [row[name] for row in rows] for name in rows[0]}


def _inspection(path: str, limits: Limits) -> dict[str, Any]:
    try:
        seen = inspect(path, limits)
    except UnreadableVideo as error:
        return {**UNKNOWN, "skipped": error.reason}
    info = {name: getattr(seen.info, name) for name in ("fps", "width", "height", "codec")}
    return {
        **info,
        "n_frames": seen.n_frames,
        "sha": seen.sha,
        "warning": seen.warning or "",
        "skipped": "",
        "thumbnails": seen.thumbnails.hex(),
    }


def build_cache(
    manifest: Manifest, preprocessing: str, config: "DataConfig", on_progress: OnProgress = lambda done, total: None
) -> Place:
    """The folder of the data set's decoded clips; decodes the shards that no other run has decoded.

    Files that don't decode are recorded as skipped. Raises DataError if files are missing or changed since the manifest
    was made.
    """
    named = preprocessing_named(preprocessing)
    folder = clip_cache_folder(manifest, named)
    if is_usable(folder):
        return folder
    usable = manifest.usable.select(["sha", "path"]).to_pylist()
    files = {row["sha"]: str(manifest.location(row["path"])) for row in usable}
    shards = planned_shards(list(files))
    missing = missing_shards(folder, shards)
    n_done = len(files) - sum(len(shard.shas) for shard in missing)
    if n_done:
        on_progress(n_done, len(files))
    if missing:
        random.Random().shuffle(missing)  # so that concurrent builders rarely decode the same shard
        rows = [{"shas": list(shard.shas), "paths": [files[sha] for sha in shard.shas]} for shard in missing]
        write = partial(_decode_shard, folder=folder, preprocessing=preprocessing, limits=config.limits)
        dataset = silent_ray_data().from_items(rows, override_num_blocks=len(rows))
        lost: list[str] = []
        with waiting(DECODING, KEPT, state_of_tasks(DECODING)):
            for row in decoding(dataset.map, write, DECODE_CPUS).iter_rows():
                lost += row["lost"]
                n_done += row["n_clips"]
                on_progress(n_done, len(files))
        if lost:
            raise DataError(f"{lost[0]} ({len(lost)} such files). Make the manifest again with: vgsearch data import")
    if not is_complete(folder):
        write_index(folder, named, shards)
    return folder


def _decode_shard(row: dict[str, Any], folder: Place, preprocessing: str, limits: Limits) -> dict[str, Any]:
    """Decode the files of one shard; none of them if some are missing or changed, which `lost` lists."""
    shard = ClipShard(tuple(map(str, row["shas"])))
    places = {sha: place(str(path)) for sha, path in zip(shard.shas, row["paths"], strict=True)}
    done: dict[str, Any] = {"n_clips": len(shard.shas), "lost": []}
    with beating(f"{DECODING}, from {row['paths'][0]} on"):
        return done | {"lost": decode_shard(folder, shard, places, preprocessing, limits)}


def decoding(
    how: Callable[..., ray.data.Dataset], function: Callable, n_cpus: float, **options: Any
) -> ray.data.Dataset:
    """Apply `how` (a dataset's map or map_batches) to a decoding `function`; tasks that die are retried."""
    with warnings.catch_warnings():
        # Ray 2.60, which pyproject.toml pins, has no other bound on retries, and already deprecates this one.
        warnings.simplefilter("ignore", DeprecationWarning)
        return how(function, num_cpus=n_cpus, max_retries=MOST_RETRIES, **options)


def silent_ray_data() -> Any:
    """The module ray.data with its output turned off: the commands print their own progress."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    return ray.data


def n_tasks(files: Sequence[Any]) -> int:
    return max(1, math.ceil(len(files) / FILES_PER_TASK))

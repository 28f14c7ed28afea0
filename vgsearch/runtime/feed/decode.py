"""Ray Data on video files: checking them, and decoding them into the shared cache. Both go on where they stood."""

import logging
import math
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from videogan.data.cache import (
    ClipShard,
    clip_cache_folder,
    is_complete,
    missing_shards,
    planned_shards,
    write_index,
    write_shard,
)
from videogan.data.decode import Limits, MissingVideo, UnreadableVideo, content_sha, decode, inspect
from videogan.data.journal import journal_folder, journal_writer, read_journal, signature
from videogan.data.manifest import DataError, Manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.storage.places import Place, RemotePath, fetched, place

if TYPE_CHECKING:
    from ray.data import Dataset

    from videogan.data.clips import DataConfig

OnProgress = Callable[[int, int], None]  # (clips done, clips in all)
DECODE_CPUS = 1.0  # of a task that decodes whole files, before any training starts
FILES_PER_TASK = 8
# Of a decoding task whose process died. Ray Data would try for ever, and a file that crashes the decoder every time would
# stop the work without a word.
MOST_RETRIES = 3
MOST_ALONE = 64  # files inspected each in a task of its own, at once
# Of a file that was not read. Every row has the same types ("" for none), since Arrow blocks of one data set must.
UNKNOWN = {"n_frames": 0, "fps": 0.0, "width": 0, "height": 0, "codec": "", "sha": "", "warning": ""}
_TEXTS = ("skipped", "warning", "sha", "codec")  # of an inspection


def inspect_videos(paths: Sequence[Path], limits: Limits, on_progress: OnProgress) -> dict[Path, dict[str, Any]]:
    """Decodes every file from end to end, in parallel: the manifest's columns of each, and `warning` (None: fine).

    What was found is journalled file by file: those inspected before, and unchanged since, are not decoded again.
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
    for row in _inspections(rows, partial(_inspected, limits=limits, journal=journal)) if rows else ():
        found[Path(row.pop("path"))] = row
        on_progress(len(found), len(paths))
    return {path: row | {name: row[name] or None for name in _TEXTS} for path, row in found.items()}


def _inspections(rows: list[dict[str, str]], inspected: Callable[[dict], dict]) -> Iterator[dict[str, Any]]:
    """What is found in each file of `rows`; one on which the decoder crashes with its process is skipped by name."""
    import ray

    dataset = silent_ray_data().from_items(rows, override_num_blocks=n_tasks(rows))
    done = set()
    try:
        for row in decoding(dataset.map_batches, inspected, DECODE_CPUS, batch_size=FILES_PER_TASK).iter_rows():
            done.add(row["path"])
            yield row
    except ray.exceptions.WorkerCrashedError:
        # Which of its block's files it was, nobody told: each of the rest goes alone.
        task = ray.remote(num_cpus=DECODE_CPUS, max_retries=1)(lambda path: inspected({"path": [path]}))
        running: dict[Any, str] = {}
        waiting = [row["path"] for row in rows if row["path"] not in done]
        while waiting or running:
            while waiting and len(running) < MOST_ALONE:
                path = waiting.pop()
                running[task.remote(path)] = path
            (ready,), _ = ray.wait(list(running), num_returns=1)
            path = running.pop(ready)
            try:
                columns = ray.get(ready)
            except ray.exceptions.WorkerCrashedError:
                yield {"path": path, **UNKNOWN, "skipped": "the decoder crashed on it, twice"}
            else:
                yield {name: values[0] for name, values in columns.items()}


def _inspected(batch: dict[str, np.ndarray], limits: Limits, journal: Place) -> dict[str, list[Any]]:
    """Columns `path` and what `_inspection` finds of each file, which is in the journal as soon as it is known."""
    rows = []
    with journal_writer(journal) as write:
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
    return {**info, "n_frames": seen.n_frames, "sha": seen.sha, "warning": seen.warning or "", "skipped": ""}


def build_cache(
    manifest: Manifest, preprocessing: str, config: "DataConfig", on_progress: OnProgress = lambda done, total: None
) -> Place:
    """The folder of the data set's decoded clips; decodes those shards that no earlier or other run did.

    Files that don't decode are recorded as skipped. Raises DataError where files are gone or changed since the manifest
    was made.
    """
    named = preprocessing_named(preprocessing)
    folder = clip_cache_folder(manifest, named)
    if is_complete(folder):
        return folder
    usable = manifest.usable.select(["sha", "path"]).to_pylist()
    files = {row["sha"]: str(manifest.location(row["path"])) for row in usable}
    shards = planned_shards(list(files))
    missing = missing_shards(folder, shards)
    n_done = len(files) - sum(len(shard.shas) for shard in missing)
    if n_done:
        on_progress(n_done, len(files))
    if missing:
        random.Random().shuffle(missing)  # builders at work at the same time meet seldom, and then share the work
        rows = [{"shas": list(shard.shas), "paths": [files[sha] for sha in shard.shas]} for shard in missing]
        write = partial(_decode_shard, folder=folder, preprocessing=preprocessing, limits=config.limits)
        dataset = silent_ray_data().from_items(rows, override_num_blocks=len(rows))
        lost: list[str] = []
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
    """Decodes the files of one shard, or none of them where some are `lost`, each told in words."""
    shard = ClipShard(tuple(map(str, row["shas"])))
    places = {sha: place(str(path)) for sha, path in zip(shard.shas, row["paths"], strict=True)}
    told = {"n_clips": len(shard.shas), "lost": []}
    if not missing_shards(folder, [shard]):
        return told  # another builder was here since
    lost = [f"{places[sha]}: {reason}" for sha in shard.shas if (reason := _lost(places[sha], sha))]
    if lost:
        return told | {"lost": lost}

    def clips() -> Iterator[tuple[str, np.ndarray | str]]:
        for sha in shard.shas:
            try:
                with fetched(places[sha]) as file:
                    yield sha, decode(file, preprocessing_named(preprocessing), limits)
            except MissingVideo:
                raise  # gone since a moment ago: no reason to keep
            except UnreadableVideo as error:
                yield sha, error.reason

    write_shard(folder, shard, clips())
    return told


def _lost(video: Place, sha: str) -> str | None:
    """Why a file is not what the manifest says."""
    try:
        with fetched(video) as file:
            return None if content_sha(file) == sha else "changed since the manifest was made"
    except MissingVideo as error:
        return error.reason
    except FileNotFoundError:
        return "no such file"


def decoding(how: Callable[..., "Dataset"], function: Callable, n_cpus: float, **options: Any) -> "Dataset":
    """`how` (a dataset's map or map_batches) of a `function` that decodes, in tasks that are tried again when they die."""
    with warnings.catch_warnings():
        # Ray 2.60, which pyproject.toml pins, knows no other way to bound the retries, and already warns of this one.
        warnings.simplefilter("ignore", DeprecationWarning)
        return how(function, num_cpus=n_cpus, max_retries=MOST_RETRIES, **options)


def silent_ray_data() -> Any:
    """ray.data, silent: the commands print their own progress."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    return ray.data


def n_tasks(files: Sequence[Any]) -> int:
    return max(1, math.ceil(len(files) / FILES_PER_TASK))

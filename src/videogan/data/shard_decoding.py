"""Decoding of a data set into the shared cache, shard by shard, in the process that asks for it."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from videogan.data.cache import (
    ClipShard,
    clip_cache_folder,
    is_usable,
    missing_shards,
    planned_shards,
    write_index,
    write_shard,
)
from videogan.data.decode import Limits, MissingVideo, UnreadableVideo
from videogan.data.manifest import DataError, Manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.data.shard_repair import decoded_files, why_lost
from videogan.storage.places import Place


def decode_into_cache(
    manifest: Manifest, preprocessing: str, limits: Limits, on_progress: Callable[[int, int], None]
) -> Place:
    """The folder of the data set's decoded clips; decodes those that no other run has decoded.

    Files that do not decode are recorded as skipped. `on_progress(done, total)` counts files. Raises DataError if files
    are missing or changed since the manifest was made.
    """
    named = preprocessing_named(preprocessing)
    folder = clip_cache_folder(manifest, named)
    if is_usable(folder):
        return folder
    usable = manifest.usable.select(["sha", "path"]).to_pylist()
    files = {row["sha"]: manifest.location(row["path"]) for row in usable}
    shards, n_done = planned_shards(list(files)), 0
    for shard in shards:
        if lost := decode_shard(folder, shard, files, preprocessing, limits):
            raise DataError(f"{lost[0]} ({len(lost)} such files). Make the manifest again with: vgsearch data import")
        n_done += len(shard.shas)
        on_progress(n_done, len(files))
    write_index(folder, named, shards)
    return folder


def decode_shard(
    folder: Place, shard: ClipShard, places: Mapping[str, Place], preprocessing: str, limits: Limits
) -> list[str]:
    """Decode the files of one shard, unless another builder has written it; none of them if some are missing or
    changed: these are returned, with the reasons.
    """
    if not missing_shards(folder, [shard]):
        return []
    lost = [f"{places[sha]}: {reason}" for sha in shard.shas if (reason := why_lost(places[sha], sha))]
    if lost:
        return lost

    def clips() -> Iterator[tuple[str, np.ndarray | str]]:
        for sha in shard.shas:
            try:
                yield from decoded_files({sha: places[sha]}, preprocessing, limits)
            except MissingVideo:
                raise  # the file existed a moment ago: not a defect of the video to record
            except UnreadableVideo as error:
                yield sha, error.reason

    write_shard(folder, shard, clips())
    return []

"""Decoding of the files of one cache shard, and the repair of a damaged one in the process that found the damage."""

from collections.abc import Iterator, Mapping

import numpy as np

from videogan.data.cache import CachedFiles, DamagedShard, write_clips
from videogan.data.decode import Limits, MissingVideo, content_sha, decode
from videogan.data.manifest import DataError, Manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.storage.atomic import write_atomically
from videogan.storage.places import Place, RemotePath, fetched
from videogan.storage.set_aside import set_aside


def decoded_files(places: Mapping[str, Place], preprocessing: str, limits: Limits) -> Iterator[tuple[str, np.ndarray]]:
    """The frames of each file, uint8 (T, H, W, 3), by its sha; raises UnreadableVideo."""
    for sha, video in places.items():
        with fetched(video) as file:
            yield sha, decode(file, preprocessing_named(preprocessing), limits)


def why_lost(video: Place, sha: str) -> str | None:
    """Why a file differs from its manifest entry; None if it does not."""
    try:
        with fetched(video) as file:
            return None if content_sha(file) == sha else "changed since the manifest was made"
    except MissingVideo as error:
        return error.reason
    except FileNotFoundError:
        return "no such file"


def repair_shard(files: CachedFiles, damaged: DamagedShard, manifest: Manifest, limits: Limits) -> None:
    """Set a damaged shard aside, with a warning, and decode its files again.

    Of a remote cache a damaged copy on this machine is first copied again. Raises DataError for a file that has changed
    or is missing.
    """
    shas = files.shas_of(damaged.name)
    files.reopen(damaged.name)
    if isinstance(files.folder, RemotePath) and _is_whole(files, shas):
        return
    places = {row["sha"]: manifest.location(row["path"]) for row in manifest.usable.select(["sha", "path"]).to_pylist()}
    for sha in shas:
        if reason := why_lost(places[sha], sha):
            raise DataError(f"{damaged} Its file {places[sha]} cannot be decoded: {reason}.")
    shard = files.folder / damaged.name
    set_aside(shard, damaged.why, "decoding its files again")
    clips = decoded_files({sha: places[sha] for sha in shas}, files.preprocessing_name, limits)
    write_atomically(shard, lambda stream: write_clips(stream, clips))
    files.reopen(damaged.name)


def _is_whole(files: CachedFiles, shas: list[str]) -> bool:
    try:
        return all(len(files.frames(sha)) for sha in shas)
    except DamagedShard:
        return False

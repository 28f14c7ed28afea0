"""The folder of training videos that a program gets as {data}: none of the clips by which it is judged."""

import hashlib
from pathlib import Path

from videogan.data.cache import local_cache_folder, staged
from videogan.data.manifest import DataError, Manifest
from videogan.storage.places import RemotePath


def training_videos(manifest: Manifest) -> Path:
    """A folder <class>/<number>-<name> of links to the training videos, made once on each machine.

    Raises DataError for videos on an object store.
    """
    rows = sorted(manifest.split("train").to_pylist(), key=lambda row: row["path"])
    places = [manifest.location(row["path"]) for row in rows]
    key = hashlib.sha256(repr([manifest.digest, *map(str, places)]).encode()).hexdigest()[:16]
    folder = local_cache_folder("training-videos") / key
    if folder.is_dir():
        return folder
    with staged(folder) as staging:
        for number, (row, place) in enumerate(zip(rows, places, strict=True)):
            if isinstance(place, RemotePath):
                raise DataError(f"{place}: a program reads local files. Copy the videos into a folder and import that.")
            link = staging / row["label"] / f"{number:06d}-{place.name}"
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(place.absolute())
    return folder


def refuse_names_of_no_folder(classes: list[str]) -> None:
    """Raise DataError for a class that no folder can be named after."""
    for name in classes:
        if not name or name in (".", "..") or "/" in name or "\0" in name or name.startswith("."):
            raise DataError(f"class {name!r} can't name a folder of samples/step_<n>/; rename it and import again.")

"""The data set of a sweep without --data: moving-shapes, generated once in a cache that all nodes can read."""

from rich.console import Console

from videogan.data.cache import cache_folder, local_cache_folder
from videogan.data.manifest import MANIFEST_NAME, Manifest, read_manifest
from videogan.data.synthetic import N_GROUPS, make_moving_shapes
from videogan.storage.places import Place, RemotePath

NAME = "moving-shapes"
FOLDER = f"{NAME}-{N_GROUPS}-grey"  # beside the coloured sets that earlier versions left in the cache


def moving_shapes(console: Console) -> Manifest:
    """The data set in the cache, also on an object store; generated if it is missing."""
    folder = cache_folder("data") / FOLDER
    if (folder / MANIFEST_NAME).is_file():
        return read_manifest(folder)
    console.print(f"no --data: generating {NAME} in {folder}", soft_wrap=True)
    here = local_cache_folder("data") / FOLDER
    made = read_manifest(here) if (here / MANIFEST_NAME).is_file() else make_moving_shapes(here)
    if isinstance(folder, RemotePath):
        _copy(made, folder)
    return read_manifest(folder)


def _copy(manifest: Manifest, folder: Place) -> None:
    """Copy the manifest last, so that a data set with a manifest is complete."""
    for path in [*manifest.usable["path"].to_pylist(), MANIFEST_NAME]:
        (folder / path).put((manifest.folder / path).read_bytes())

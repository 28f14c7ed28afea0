"""Moving MNIST: one .npy file of grey clips, uint8 (T, n, H, W), time first, like the published mnist_test_seq.npy."""

from pathlib import Path

from videogan.data.formats.contract import DRAWN, Found, FoundVideo, ImportOptions
from videogan.data.formats.listing import files_in
from videogan.data.manifest import DataError
from videogan.data.moving_mnist import LABEL
from videogan.data.source import UnreadableVideo
from videogan.data.stills import open_clips, row_of

NAME = "moving_mnist"
TAKES = frozenset[str]()


def recognises(folder: Path) -> bool:
    """Whether the folder holds exactly one .npy file."""
    return len(_arrays(folder)) == 1


def find(folder: Path, options: ImportOptions) -> Found:
    """The sequences of the array, each its own group. Raises DataError."""
    arrays = _arrays(folder)
    if len(arrays) != 1:
        raise DataError(f"{folder}: {len(arrays)} .npy files, expected one, such as mnist_test_seq.npy.")
    try:
        n_clips = open_clips(arrays[0]).shape[1]
    except UnreadableVideo as error:
        raise DataError(f"{error}.") from None
    paths = [row_of(arrays[0], index, n_clips) for index in range(n_clips)]
    videos = tuple(FoundVideo(path, LABEL, path.name.partition("#")[2]) for path in paths)
    return Found(videos, "each sequence its own", DRAWN)


def _arrays(folder: Path) -> list[Path]:
    return files_in(folder, lambda path: path.suffix == ".npy") if folder.is_dir() else []

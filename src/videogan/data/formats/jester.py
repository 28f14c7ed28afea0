"""Jester: one folder of JPEG frames per clip (20bn-jester-v1/<id>/00001.jpg) and CSV files with `;`."""

from pathlib import Path

from videogan.data.formats.contract import DRAWN, Found, FoundVideo, ImportOptions
from videogan.data.formats.listing import in_or_beside, read_lines
from videogan.data.manifest import DataError

NAME = "jester"
TAKES = frozenset({"split_by"})
PREFIX = "jester-v1"
LABELS_NAME = f"{PREFIX}-labels.csv"
_SPLITS = {"train": "train", "validation": "test"}  # the labels of the published test clips are not public


def recognises(folder: Path) -> bool:
    """Whether the file of labels is in the folder or its parent."""
    return folder.is_dir() and in_or_beside(folder, LABELS_NAME) is not None


def find(folder: Path, options: ImportOptions) -> Found:
    """The clips in the train and validation lists; validation is used as test, clips without labels are left out.

    The performers are not published, so each clip is its own group; the import takes select from train. Raises
    DataError with the wrong line.
    """
    lists = in_or_beside(folder, LABELS_NAME)
    if lists is None:
        raise DataError(
            f"{folder}: no {LABELS_NAME} in this folder or its parent. Copy the data set's CSV files there."
        )
    classes = [label for _, label in read_lines(lists / LABELS_NAME)]
    frames = folder / f"20bn-{PREFIX}"
    frames = frames if frames.is_dir() else folder
    by_group = options.split_by == "group"
    videos: dict[str, FoundVideo] = {}
    for part, split in _SPLITS.items():
        for where, line in read_lines(lists / f"{PREFIX}-{part}.csv"):
            clip, _, label = (cell.strip() for cell in line.partition(";"))
            if label not in classes:
                raise DataError(f"{where}: expected 'id;label' with a label from {LABELS_NAME}, got '{line}'.")
            if clip in videos:
                raise DataError(
                    f"{where}: clip {clip} is listed twice, before as '{videos[clip].label}'; remove one line."
                )
            videos[clip] = FoundVideo(frames / clip, label, clip, None if by_group else split)
    rule = DRAWN if by_group else "official: train, and validation for test"
    return Found(
        tuple(sorted(videos.values(), key=lambda video: video.path)), "each clip its own", rule, tuple(classes)
    )

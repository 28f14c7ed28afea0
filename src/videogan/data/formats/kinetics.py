"""Kinetics: <YouTube id>_<start>_<end>.mp4 in any folders, and lists with label, youtube_id, time_start, time_end."""

import csv
from collections.abc import Iterator
from pathlib import Path

from videogan.data.formats.contract import (
    DRAWN,
    Found,
    FoundVideo,
    ImportOptions,
    split_of_folder,
    val_for_test,
)
from videogan.data.formats.listing import files_in, looks_like_video, read_csv, subfolders
from videogan.data.manifest import DataError

NAME = "kinetics"
TAKES = frozenset({"split_by"})
_COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")
_DEEPEST = 3  # folders below DIR


def recognises(folder: Path) -> bool:
    """Whether a CSV file with Kinetics' columns is in the folder, in its annotations/, or beside it."""
    return folder.is_dir() and bool(_lists(folder))


def find(folder: Path, options: ImportOptions) -> Found:
    """The videos below `folder` that the lists name, each in its list's split; the group is the YouTube id.

    The split val is taken for test if no video of a test list is there. Files in no list, and listed videos without a
    file, are skipped. Raises DataError with the wrong line.
    """
    lists = _lists(folder) if folder.is_dir() else []
    if not lists:
        raise DataError(
            f"{folder}: no CSV file with the columns {','.join(_COLUMNS)} in this folder, its annotations/ or its parent."
        )
    listed = {stem: row for file in lists for stem, row in _rows(file)}
    videos, unseen = [], dict(listed)
    for path in _videos(folder):
        row = unseen.pop(path.stem, None)
        if row is None:
            again = "listed once, found twice" if path.stem in listed else "in none of the lists"
            videos.append(FoundVideo(path, path.parent.name, path.stem, skipped=again))
        else:
            videos.append(FoundVideo(path, row[0], row[1], row[2]))
    names = ", ".join(sorted(file.name for file in lists))
    if len(unseen) == len(listed):
        raise DataError(
            f"{folder}: none of the {len(listed)} videos listed in {names} is here; expected names such as "
            f"{next(iter(listed), '<id>_000003_000013')}.mp4."
        )
    by_group = options.split_by == "group"
    splits, rule = val_for_test([video.split for video in videos], names)
    found = [
        FoundVideo(video.path, video.label, video.group, None if by_group else split, video.skipped)
        for video, split in zip(videos, splits, strict=True)
    ]
    found += [
        FoundVideo(folder / f"{s}.mp4", r[0], r[1], skipped="listed, but no such file") for s, r in unseen.items()
    ]
    return Found(tuple(sorted(found, key=lambda video: video.path)), "the YouTube id", DRAWN if by_group else rule)


def _lists(folder: Path) -> list[Path]:
    above = folder.absolute().parent
    places = (folder, folder / "annotations", above, above / "annotations")
    found = ([path for path in files_in(place, _is_list)] for place in places if place.is_dir())
    return next((files for files in found if files), [])


def _is_list(path: Path) -> bool:
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as text:
        header = next(csv.reader([text.readline(4096)]), [])
    return set(_COLUMNS) - {"split"} <= {cell.strip() for cell in header}


def _rows(file: Path) -> Iterator[tuple[str, tuple[str, str, str]]]:
    """(a file's name without ending, (class, YouTube id, split)) of each line that has a class."""
    lines = read_csv(file, ",".join(_COLUMNS))
    _, header = next(lines)
    for where, cells in lines:
        row = dict(zip(header, cells, strict=False))
        split = split_of_folder(row.get("split") or file.stem)
        try:
            start, end = (round(float(row[name])) for name in ("time_start", "time_end"))
        except (KeyError, ValueError, OverflowError):
            raise DataError(
                f"{where}: expected {','.join(header)} with times in seconds, got {','.join(cells)}."
            ) from None
        if split is None:
            raise DataError(f"{where}: split must be train, val or test, got '{row.get('split') or file.stem}'.")
        if row["label"]:
            yield f"{row['youtube_id']}_{start:06d}_{end:06d}", (row["label"], row["youtube_id"], split)


def _videos(folder: Path, depth: int = 0) -> Iterator[Path]:
    yield from files_in(folder, looks_like_video)
    if depth < _DEEPEST:
        for entry in subfolders(folder):
            yield from _videos(entry, depth + 1)

"""Nested folders: DIR/[train|val|test/][<class>/][<group>/]<clip>, each clip a video file or a folder of frames.

So store their data Kinetics (train/<class>/<video>), UCF-11 (<class>/<group>/<video>), TSN's rawframes
(<class>/<video>/img_00001.jpg), and StyleGAN-V and DIGAN (<video>/<frame>.jpg, without classes).
"""

import os
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from videogan.data.formats.contract import DRAWN, Found, FoundVideo, ImportOptions, split_of_folder, val_for_test
from videogan.data.formats.listing import files_in, group_by_name, is_video_name, looks_like_video, subfolders
from videogan.data.formats.plain_folders import SPLIT_NAME, read_split
from videogan.data.formats.strips import LEAST_SQUARES
from videogan.data.manifest import DataError
from videogan.data.stills import frame_files

NAME = "nested"
TAKES = frozenset({"group", "split_by"})
_DEEPEST = 5  # folders below DIR


def recognises(folder: Path) -> bool:
    """Whether the folders are named after splits, or no folder in DIR holds videos but a deeper one does, or frames."""
    if not folder.is_dir():
        return False
    if _splits(folder):
        return True
    if any(files_in(place, is_video_name) for place in (folder, *subfolders(folder))):
        return False
    first = next(_clips(folder), None)
    return first is not None and (first.is_dir() or len(first.relative_to(folder).parts) > 2)


def find(folder: Path, options: ImportOptions) -> Found:
    """The clips, all equally deep. Folder names give split, class and group; a missing one is one class, DIR's name.

    Groups below classes that have no folders come from the clips' names. Without folders of splits, split.csv holds.
    The split val is taken for test if nothing else is. Raises DataError.
    """
    clips = list(_clips(folder)) if folder.is_dir() else []
    if not clips:
        raise DataError(
            f"{folder}: no clip found. Expected {folder}/[train|val|test/][<class>/][<group>/]<clip>, each a video file "
            "or a folder of numbered frames."
        )
    splits = _splits(folder)
    above = [path.parent.relative_to(folder).parts[1 if splits else 0 :] for path in clips]
    shallow, deep = min(above, key=len), max(above, key=len)
    if len(shallow) < len(deep):
        one, other = (clips[above.index(parts)].relative_to(folder) for parts in (shallow, deep))
        raise DataError(
            f"{folder}: {one} and {other} are clips at different depths. Move them, or list the clips in videos.csv."
        )
    groups, group_rule = _groups(folder, clips, above, options)
    given, split_rule = _given_splits(folder, clips, splits, options)
    videos = []
    for path, parts, group, split in zip(clips, above, groups, given, strict=True):
        skipped = f"not in {SPLIT_NAME}" if split is None and split_rule == SPLIT_NAME else None
        videos.append(FoundVideo(path, parts[0] if parts else folder.resolve().name, group, split, skipped))
    return Found(tuple(videos), group_rule, split_rule)


def _clips(folder: Path, depth: int = 0) -> Iterator[Path]:
    """The clips below `folder` by path. In a class, files come first: its subfolders may hold anything."""
    here = files_in(folder, looks_like_video) if depth else []
    yield from here
    if not here and depth and _is_frames(folder):
        yield folder
    elif not here and depth < _DEEPEST:
        for entry in subfolders(folder):
            yield from _clips(entry, depth + 1)


def _is_frames(folder: Path) -> bool:
    """Whether the folder holds at least two numbered pictures of one size, and none that looks like a strip."""
    files = frame_files(folder)
    if len(files) < 2 or not all(file.stem[-1:].isdecimal() for file in (files[0], files[-1])):
        return False
    sizes = {_size(file) for file in (files[0], files[1], files[-1])}
    width, height = next(iter(sizes))
    return len(sizes) == 1 and 0 < max(width, height) < LEAST_SQUARES * min(width, height)


def _size(file: Path) -> tuple[int, int]:
    try:
        with Image.open(file, formats=["JPEG", "PNG"]) as image:
            return image.size
    except (OSError, SyntaxError, ValueError):
        return 0, 0


def _splits(folder: Path) -> dict[str, str]:
    """The split of each folder in DIR if all of them, at least two, are named after splits and one is for training."""
    named = {entry.name: split_of_folder(entry.name) for entry in subfolders(folder)}
    splits = {name: split for name, split in named.items() if split is not None}
    return splits if len(splits) == len(named) > 1 and "train" in splits.values() else {}


def _groups(
    folder: Path, clips: list[Path], above: list[tuple[str, ...]], options: ImportOptions
) -> tuple[list[str], str]:
    if options.group is None and len(above[0]) > 1:
        return [os.path.join(*parts[1:]) for parts in above], "the folder below the class"
    grouping = group_by_name([path.relative_to(folder).as_posix() for path in clips], options.group)
    return list(grouping.groups), grouping.rule


def _given_splits(
    folder: Path, clips: list[Path], splits: dict[str, str], options: ImportOptions
) -> tuple[list[str | None], str]:
    """The split of each clip, None if it is drawn or not in split.csv, and the rule."""
    if options.split_by == "group":
        return [None] * len(clips), DRAWN
    if splits:
        given = [splits[path.relative_to(folder).parts[0]] for path in clips]
        return val_for_test(given, f"the folders {', '.join(sorted(splits))}")
    listed = read_split(folder)
    if listed is None:
        if options.split_by == "file":
            raise DataError(
                f"{folder}: --split-by file needs folders such as train and test, or a {SPLIT_NAME} with the columns "
                "file,split; add them, or drop the option."
            )
        return [None] * len(clips), DRAWN
    return [listed.get(path.relative_to(folder).as_posix()) for path in clips], SPLIT_NAME

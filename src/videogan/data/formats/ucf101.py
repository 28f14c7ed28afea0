"""UCF-101: AVI files in class folders or in one folder, and the three official splits in ucfTrainTestlist/."""

import re
from collections.abc import Iterator
from pathlib import Path

from videogan.data.formats.contract import DRAWN, Found, FoundVideo, ImportOptions, chosen_fold
from videogan.data.formats.listing import files_in, in_or_beside, looks_like_video, read_lines, subfolders
from videogan.data.manifest import DataError

NAME = "ucf101"
TAKES = frozenset({"fold", "split_by"})
LISTS = "ucfTrainTestlist"
_NAME = re.compile(r"v_(?P<label>.+)_(?P<group>g\d+)_c\d+", re.IGNORECASE)


def recognises(folder: Path) -> bool:
    """Whether the official lists are in the folder or its parent."""
    return folder.is_dir() and _lists(folder) is not None


def find(folder: Path, options: ImportOptions) -> Found:
    """The videos under `folder`, with the official split `options.fold` of 1, 2, 3: its train and test lists.

    Videos are matched to the lists by file name, ignoring folder and case: the class HandstandPushups has files called
    v_HandStandPushups_*. Listed videos without a file and files in no list are skipped. Raises DataError.
    """
    lists, fold = _lists(folder), chosen_fold(options)
    if lists is None:
        raise DataError(
            f"{folder}: no {LISTS}/classInd.txt in this folder or its parent. Unpack the official splits there."
        )
    classes = _classes(lists / "classInd.txt")
    names = (f"trainlist0{fold}.txt", f"testlist0{fold}.txt")
    listed = _listed_videos(lists, names, classes)
    by_group = options.split_by == "group"
    videos, unseen = [], dict(listed)
    for file in _videos(folder):
        match = _NAME.fullmatch(file.stem)
        group = match["group"].lower() if match else file.stem
        if (entry := unseen.pop(file.name.lower(), None)) is not None:
            videos.append(FoundVideo(file, entry[0], group, None if by_group else entry[1]))
        else:
            label = classes.get((match["label"] if match else file.parent.name).lower(), file.parent.name)
            again = "listed once, found twice" if file.name.lower() in listed else f"in neither {' nor '.join(names)}"
            videos.append(FoundVideo(file, label, group, skipped=again))
    for label, _, path in unseen.values():
        videos.append(FoundVideo(folder / path, label, "", skipped="listed, but no such file"))
    if len(unseen) == len(listed):
        raise DataError(
            f"{folder}: none of the {len(listed)} videos listed in {' and '.join(names)} is here; check the folder."
        )
    rule = DRAWN if by_group else f"official split {fold} ({', '.join(names)})"
    return Found(tuple(videos), "g01 to g25 of the file names", rule, tuple(classes.values()))


def _listed_videos(lists: Path, names: tuple[str, str], classes: dict[str, str]) -> dict[str, tuple[str, str, str]]:
    """(class, split, path as listed) of each video in the train and test lists, by its file name in lower case."""
    listed: dict[str, tuple[str, str, str]] = {}
    for split, name in zip(("train", "test"), names, strict=True):
        for where, path, label in _lines_of(lists / name, classes):
            earlier = listed.setdefault(path.rpartition("/")[2].lower(), (label, split, path))
            if earlier != (label, split, path):
                raise DataError(f"{where}: {path} is listed twice, before as {earlier[2]} for {earlier[1]}.")
    return listed


def _lists(folder: Path) -> Path | None:
    place = in_or_beside(folder, f"{LISTS}/classInd.txt")
    return place and place / LISTS


def _videos(folder: Path) -> list[Path]:
    """The videos DIR/<class>/*.avi and DIR/*.avi, and the same below DIR/UCF-101, where the archive unpacks."""
    roots = [root for root in (folder, folder / "UCF-101") if root.is_dir()]
    folders = [place for root in roots for place in (root, *subfolders(root))]
    return [path for place in dict.fromkeys(folders) for path in files_in(place, looks_like_video)]


def _classes(file: Path) -> dict[str, str]:
    """Classes by their lower-case names, in the official order; lines are "1 ApplyEyeMakeup"."""
    classes: dict[str, str] = {}
    for where, line in read_lines(file):
        number, _, label = line.partition(" ")
        if number != str(len(classes) + 1) or not label:
            raise DataError(
                f"{where}: expected '{len(classes) + 1} <class>' (classes are numbered from 1), got '{line}'."
            )
        classes[label.lower()] = label
    return classes


def _lines_of(file: Path, classes: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """(where, path, class) of each line: "Class/v_Class_g08_c01.avi 1" in train lists, without number in test lists."""
    official = list(classes.values())
    for where, line in read_lines(file):
        path, _, number = line.partition(" ")
        label = classes.get(path.partition("/")[0].lower())
        if "/" not in path or label is None:
            raise DataError(f"{where}: expected <class>/<video> with a class from classInd.txt, got '{line}'.")
        if number and number != str(official.index(label) + 1):
            raise DataError(
                f"{where}: class number {number}, but {label} is {official.index(label) + 1} in classInd.txt."
            )
        yield where, path, label

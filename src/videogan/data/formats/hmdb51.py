"""HMDB-51: AVI files in class folders, and the three official splits in testTrainMulti_7030_splits/."""

from collections.abc import Iterator
from pathlib import Path

from videogan.data.formats.contract import DRAWN, Found, FoundVideo, ImportOptions, chosen_fold
from videogan.data.formats.listing import files_in, looks_like_video, matched_group, read_lines, subfolders
from videogan.data.manifest import DataError

NAME = "hmdb51"
TAKES = frozenset({"fold", "group", "split_by"})
LISTS = "testTrainMulti_7030_splits"
_SPLITS = {"1": "train", "2": "test"}  # 0: in neither


def recognises(folder: Path) -> bool:
    """Whether the folder of the official lists is in the folder or its parent."""
    return folder.is_dir() and _lists(folder, 1) != []


def find(folder: Path, options: ImportOptions) -> Found:
    """The videos DIR/<class>/*.avi with the official split `options.fold` of 1, 2, 3: <class>_test_split<fold>.txt.

    A group is a class and the title before it in a file's name, by default: April_09 of April_09_brush_hair_u_....avi.
    Clips in neither part, in no list, and listed ones without a file are skipped. Raises DataError.
    """
    fold = chosen_fold(options)
    lists = _lists(folder, fold)
    if not lists:
        raise DataError(
            f"{folder}: no {LISTS}/<class>_test_split{fold}.txt in this folder or its parent. Unpack the official "
            "splits there."
        )
    by_group, videos, n_listed = options.split_by == "group", [], 0
    for file in lists:
        label = file.name.removesuffix(_ending(fold))
        place = folder / label
        names = {path.name for path in files_in(place, looks_like_video)} if place.is_dir() else set()
        for name, part in _parts(file):
            n_listed += 1
            skipped = None if name in names else "listed, but no such file"
            skipped = skipped or (None if by_group or part in _SPLITS else f"in neither part of split {fold}")
            names.discard(name)
            split = None if by_group else _SPLITS.get(part)
            videos.append(FoundVideo(place / name, label, _group(name, label, options), split, skipped))
        videos += [FoundVideo(place / n, label, n, skipped=f"not in {file.name}") for n in sorted(names)]
    if all(video.skipped for video in videos):
        raise DataError(
            f"{folder}: none of the {n_listed} videos listed in {LISTS} is here. Expected {folder}/<class>/<clip>.avi."
        )
    group_rule = f"--group '{options.group}'" if options.group else "the class and the title before it in the name"
    rule = DRAWN if by_group else f"official split {fold} (*{_ending(fold)})"
    return Found(tuple(sorted(videos, key=lambda video: video.path)), group_rule, rule)


def _ending(fold: int) -> str:
    return f"_test_split{fold}.txt"


def _lists(folder: Path, fold: int) -> list[Path]:
    """The lists of a split, one for each class, in the folder or its parent."""
    places = [place for above in (folder, folder.absolute().parent) if above.is_dir() for place in subfolders(above)]
    return next(
        (files for place in places if place.name == LISTS
         and (files := files_in(place, lambda path: path.name.endswith(_ending(fold))))), [],
    )  # fmt: skip


def _parts(file: Path) -> Iterator[tuple[str, str]]:
    """(file name, part) of each line: "April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1"."""
    seen = set()
    for where, line in read_lines(file):
        name, _, part = line.rpartition(" ")
        name = name.strip()
        if part not in ("0", "1", "2") or not name:
            raise DataError(f"{where}: expected '<video> 0', 1 (train) or 2 (test), got '{line}'.")
        if name in seen:
            raise DataError(f"{where}: {name} is listed twice; remove one line.")
        seen.add(name)
        yield name, part


def _group(name: str, label: str, options: ImportOptions) -> str:
    stem = Path(name).stem
    if options.group is not None:
        return matched_group(options.group, stem)
    return f"{label}/{stem.partition(f'_{label}_')[0]}"

"""Plain folders: DIR/<class>/<clip>.<ext>, with groups from file names and an optional DIR/split.csv."""

from collections.abc import Callable
from pathlib import Path

from videogan.amounts import n_of
from videogan.data.formats.contract import DRAWN, Found, FoundVideo, ImportOptions, split_named
from videogan.data.formats.listing import files_in, group_by_name, looks_like_video, read_csv, subfolders
from videogan.data.formats.passed_over import described, passed_over
from videogan.data.manifest import DataError

NAME = "plain"
TAKES = frozenset({"group", "split_by"})
SPLIT_NAME = "split.csv"


def recognises(folder: Path) -> bool:
    """Whether it is a folder: this layout is tried last."""
    return folder.is_dir()


def find(folder: Path, options: ImportOptions) -> Found:
    """The videos in the class folders, or those in the folder itself as one class. Raises DataError."""
    return found_in_classes(folder, options, looks_like_video, "any that FFmpeg reads", "<clip>.avi")


def found_in_classes(
    folder: Path, options: ImportOptions, wanted: Callable[[Path], bool], looked_for: str, example: str
) -> Found:
    """The `wanted` files in `folder`/<class>/, or those in `folder` itself as one class, with groups and splits.

    Raises DataError if there is none; its message names what was `looked_for` and an `example`.
    """
    if not folder.is_dir():
        problem = "this is a file" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {problem}. Expected a folder with files such as <class>/{example}.")
    classes = subfolders(folder)
    files = [(path, entry.name) for entry in classes for path in files_in(entry, wanted)]
    if not files:
        files = [(path, folder.resolve().name) for path in files_in(folder, wanted)]
    if not files:
        others = passed_over(folder, ())
        raise DataError(
            f"{folder}: no video found (looked for {looked_for} in {n_of(len(classes) + 1, 'folder')})"
            + (f", but {described(others)}" if others else "")
            + f". Expected {folder}/<class>/{example}. Or list the clips in videos.csv, with the columns file,label; "
            "a file there may be a folder of pictures."
        )
    grouping = group_by_name([path.relative_to(folder).as_posix() for path, _ in files], options.group)
    splits = None if options.split_by == "group" else read_split(folder)
    if options.split_by == "file" and splits is None:
        raise DataError(
            f"{folder}: --split-by file needs a {SPLIT_NAME} with the columns file,split; add it, or drop the option."
        )
    videos = []
    for (path, label), group in zip(files, grouping.groups, strict=True):
        split = splits.get(path.relative_to(folder).as_posix()) if splits is not None else None
        skipped = f"not in {SPLIT_NAME}" if splits is not None and split is None else None
        videos.append(FoundVideo(path, label, group, split, skipped))
    return Found(tuple(videos), grouping.rule, DRAWN if splits is None else SPLIT_NAME)


def read_split(folder: Path) -> dict[str, str] | None:
    """Read `folder/split.csv`: the split of each file, relative to `folder`. None if there is no split.csv.

    The splits are train, select (or val, validation) and test; without select, the import takes it from train.
    Raises DataError with the wrong line.
    """
    file = folder / SPLIT_NAME
    if not file.is_file():
        return None
    splits: dict[str, str] = {}
    for number, (where, row) in enumerate(read_csv(file, "file,split")):
        if number == 0 and row == ["file", "split"]:
            continue
        if len(row) != 2:
            columns = {1: "one column"}.get(len(row), f"{len(row)} columns")
            raise DataError(f"{where}: {columns}, expected file,split.")
        name, split = row[0], split_named(row[1], where)
        if splits.setdefault(name, split) != split:
            raise DataError(f"{where}: {name} is in {splits[name]} and {split}; remove one line.")
        if not (folder / name).exists():
            raise DataError(f"{where}: there is no file {name} in {folder}.")
    return splits

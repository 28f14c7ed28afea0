"""Plain folders: DIR/<class>/<clip>.<ext>, with groups read out of file names and an optional DIR/split.csv."""

import csv
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videogan.data.manifest import DataError, split_by_group

SUFFIXES = ("avi", "mp4", "mkv", "mov", "webm", "gif")
SPLIT_NAME = "split.csv"
MIRRORED = "_flip"  # a mirrored copy: <stem>_flip.<ext> stays with its original
_UCF_GROUP = re.compile(r"(?:^|[_\-. ])(g\d+)(?=$|[_\-. ])")
_UCF_RULE, _FIRST_PART_RULE = "g<number> between separators", "the part before the first underscore"


@dataclass(frozen=True)
class FoundVideo:
    """A file that looks like a video, and the class its folder stands for."""

    path: Path
    label: str


@dataclass(frozen=True)
class Grouping:
    """The group of each file, and the rule it was found by in words."""

    groups: tuple[str, ...]
    rule: str


def find_videos(folder: Path) -> list[FoundVideo]:
    """The videos in the class folders of `folder`, by path; a folder with videos and no class folder is one class.

    A video is known by its suffix or by its first bytes. Raises DataError where there is none.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Expected {folder}/<class>/<clip>.avi.")
    classes = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    found = [FoundVideo(path, entry.name) for entry in classes for path in _videos_in(entry)]
    if not found:
        found = [FoundVideo(path, folder.resolve().name) for path in _videos_in(folder)]
    if not found:
        raise DataError(
            f"{folder}: no video found (looked for {' '.join(SUFFIXES)} in {len(classes) + 1} folders). "
            f"Expected {folder}/<class>/<clip>.avi."
        )
    return found


def group_by_name(names: Sequence[str], pattern: str | None = None) -> Grouping:
    """The group of each file name, and the rule that found it.

    By `pattern` (its first bracket, where it has one), by default UCF's g<number> as a whole word, else the part before
    the first underscore. Raises DataError for a pattern that is no regular expression or finds nothing in a name.
    """
    stems = [Path(name).stem.removesuffix(MIRRORED) for name in names]
    if pattern is not None:
        return Grouping(tuple(_matched(pattern, stem) for stem in stems), f"--group '{pattern}'")
    ucf = [_UCF_GROUP.search(stem) for stem in stems]
    groups = tuple(match[1] if match else stem.partition("_")[0] for match, stem in zip(ucf, stems, strict=True))
    counts = Counter(_UCF_RULE if match else _FIRST_PART_RULE for match in ucf)
    rule = ", ".join(counts) if len(counts) == 1 else ", ".join(f"{rule} ({n} files)" for rule, n in counts.items())
    return Grouping(groups, rule)


def read_split(folder: Path) -> dict[str, str] | None:
    """`folder/split.csv`: file (relative to `folder`) -> train or test; None without one. DataError tells the line."""
    file = folder / SPLIT_NAME
    if not file.is_file():
        return None
    splits: dict[str, str] = {}
    with file.open(newline="", encoding="utf-8-sig") as text:
        reader = csv.reader(text, strict=True)
        try:
            for row in reader:
                where = f"{SPLIT_NAME} line {reader.line_num}"
                if not row or (reader.line_num == 1 and row == ["file", "split"]):
                    continue
                if len(row) != 2:
                    columns = {1: "one column"}.get(len(row), f"{len(row)} columns")
                    raise DataError(f"{where}: {columns}, expected file,split.")
                name, split = (cell.strip() for cell in row)
                if split not in ("train", "test"):
                    raise DataError(f"{where}: split must be train or test, got '{split}'.")
                if splits.setdefault(name, split) != split:
                    raise DataError(f"{where}: {name} is in train and test; keep one line of it.")
                if not (folder / name).is_file():
                    raise DataError(f"{where}: {name} is no file of {folder}.")
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{SPLIT_NAME} line {reader.line_num}: {error}; expected file,split.") from None
    return splits


def manifest_rows(
    folder: Path,
    videos: Sequence[FoundVideo],
    grouping: Grouping,
    inspected: Mapping[Path, Mapping[str, Any]],
    splits: Mapping[str, str] | None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """The manifest's rows: each video with its label, group, inspection and split (by group unless given).

    A second file with the same content is skipped: under another group or label it would leak.
    """
    first_with: dict[str, str] = {}
    rows = []
    for video, group in zip(videos, grouping.groups, strict=True):
        columns = {name: value for name, value in inspected[video.path].items() if name != "warning"}
        row = {"path": video.path.absolute(), "label": video.label, "group": group, "split": None} | columns
        name = video.path.relative_to(folder).as_posix()
        if row["skipped"] is None and first_with.setdefault(row["sha"], name) != name:
            row["skipped"] = f"same content as {first_with[row['sha']]}"
        if row["skipped"] is None and splits is not None and name not in splits:
            row["skipped"] = f"not in {SPLIT_NAME}"
        rows.append(row)
    usable = [row for row in rows if row["skipped"] is None]
    if splits is None:
        chosen = split_by_group([row["label"] for row in usable], [row["group"] for row in usable], seed)
    else:
        chosen = [splits[row["path"].relative_to(folder.absolute()).as_posix()] for row in usable]
    for row, split in zip(usable, chosen, strict=True):
        row["split"] = split
    return rows


def _videos_in(folder: Path) -> Iterable[Path]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and not entry.is_dir())
    return [folder / name for name in names if _looks_like_video(folder / name)]


def _looks_like_video(path: Path) -> bool:
    if path.suffix.lower().removeprefix(".") in SUFFIXES:
        return True  # also where it cannot be opened: then it is skipped with that reason, not overlooked
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(12)
    riff = start[:4] == b"RIFF" and start[8:12] == b"AVI "
    return riff or start[4:8] == b"ftyp" or start[:4] in (b"\x1aE\xdf\xa3", b"GIF8")


def _matched(pattern: str, stem: str) -> str:
    try:
        match = re.search(pattern, stem)
    except re.error as error:
        raise DataError(f"--group '{pattern}' is no regular expression: {error}.") from None
    group = match and (match[1] if match.re.groups else match[0])
    if not group:
        raise DataError(f"--group '{pattern}' finds nothing in the name '{stem}'; every file needs a group.")
    return group

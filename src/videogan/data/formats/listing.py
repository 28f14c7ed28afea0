"""Files as layouts list them: videos of a folder, groups in names, lines of text and CSV with their numbers."""

import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from videogan.data.manifest import DataError

SUFFIXES = ("avi", "mp4", "mkv", "mov", "webm", "gif")
CHECK_PAGE = "check.html"  # in the folder that `data check` writes
MIRRORED = "_flip"  # a mirrored copy: <stem>_flip.<ext> stays with its original
_UCF_GROUP = re.compile(r"(?:^|[_\-. ])(g\d+)(?=$|[_\-. ])")
_UCF_RULE, _FIRST_PART_RULE = "g<number> between separators", "the part before the first underscore"


@dataclass(frozen=True)
class Grouping:
    """The group of each file, and the rule it was found by in words."""

    groups: tuple[str, ...]
    rule: str


def subfolders(folder: Path) -> list[Path]:
    """The folders in `folder` by name, hidden ones and what `data check` wrote left out."""
    entries = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return [entry for entry in entries if not (entry / CHECK_PAGE).is_file()]


def in_or_beside(folder: Path, name: str) -> Path | None:
    """The folder itself, or the one it lies in, where that holds a file `name`: data and lists unpack both ways."""
    return next((place for place in (folder, folder.absolute().parent) if (place / name).is_file()), None)


def files_in(folder: Path, wanted: Callable[[Path], bool]) -> list[Path]:
    """The files of `folder` by name that are `wanted`, hidden ones left out; broken links are files too."""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and not entry.is_dir())
    return [folder / name for name in names if wanted(folder / name)]


def is_video_name(path: Path) -> bool:
    return path.suffix.lower().removeprefix(".") in SUFFIXES


def looks_like_video(path: Path) -> bool:
    """Told by its suffix, else by its first bytes."""
    if is_video_name(path):
        return True  # also where it cannot be opened: then it is skipped with that reason, not overlooked
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(12)
    riff = start[:4] == b"RIFF" and start[8:12] == b"AVI "
    return riff or start[4:8] == b"ftyp" or start[:4] in (b"\x1aE\xdf\xa3", b"GIF8")


def group_by_name(names: Sequence[str], pattern: str | None = None) -> Grouping:
    """The group of each file name, and the rule that found it.

    By `pattern` (its first bracket, where it has one), by default UCF's g<number> as a whole word, else the part before
    the first underscore. Raises DataError for a pattern that is no regular expression or finds nothing in a name.
    """
    stems = [Path(name).stem.removesuffix(MIRRORED) for name in names]
    if pattern is not None:
        return Grouping(tuple(matched_group(pattern, stem) for stem in stems), f"--group '{pattern}'")
    ucf = [_UCF_GROUP.search(stem) for stem in stems]
    groups = tuple(match[1] if match else stem.partition("_")[0] for match, stem in zip(ucf, stems, strict=True))
    counts = Counter(_UCF_RULE if match else _FIRST_PART_RULE for match in ucf)
    rule = ", ".join(counts) if len(counts) == 1 else ", ".join(f"{rule} ({n} files)" for rule, n in counts.items())
    return Grouping(groups, rule)


def matched_group(pattern: str, name: str) -> str:
    """What `--group` finds in a name. Raises DataError where it finds nothing."""
    try:
        match = re.search(pattern, name)
    except re.error as error:
        raise DataError(f"--group '{pattern}' is no regular expression: {error}.") from None
    group = match and (match[1] if match.re.groups else match[0])
    if not group:
        raise DataError(f"--group '{pattern}' finds nothing in the name '{name}'; every file needs a group.")
    return group


def read_lines(file: Path) -> list[tuple[str, str]]:
    """(where, line) of each line of a text file that is not empty: `where` names file and line, for errors.

    Line ends of any kind, a byte order mark and blanks at either end are taken off. Raises DataError.
    """
    if not file.is_file():
        raise DataError(f"{file}: no such file, it belongs to this layout.")
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{file.name}: not UTF-8 text ({error}).") from None
    return [(f"{file.name} line {number}", line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def read_csv(file: Path, expected: str) -> Iterator[tuple[str, list[str]]]:
    """(where, cells) of each line of a CSV file that is not empty. DataError tells the line and what was expected."""
    with file.open(newline="", encoding="utf-8-sig") as text:
        reader = csv.reader(text, strict=True)
        try:
            for row in reader:
                if row:
                    yield f"{file.name} line {reader.line_num}", [cell.strip() for cell in row]
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{file.name} line {reader.line_num}: {error}; expected {expected}.") from None

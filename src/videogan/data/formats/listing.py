"""Shared by the layouts: the videos of a folder, groups from file names, numbered lines of text and CSV files."""

import csv
import difflib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from videogan.data.containers import holds_video
from videogan.data.manifest import DataError
from videogan.data.mirrored import SUFFIX
from videogan.data.stills import is_image_name

# Files with these suffixes are videos, and are skipped by name if they cannot be read. Others are asked for a video.
SUFFIXES = (
    "avi", "mp4", "m4v", "mkv", "mov", "webm", "gif", "mpg", "mpeg", "mpe", "m1v", "m2v", "vob", "ts", "mts", "m2ts",
    "wmv", "asf", "flv", "f4v", "ogv", "ogm", "3gp", "3g2", "mjpeg", "mjpg", "h264", "264", "h265", "hevc", "265",
    "y4m", "mxf", "nut", "dv", "rm", "rmvb", "divx", "ivf", "apng",
)  # fmt: skip
# Arrays, archives, sound and pictures, which often lie beside videos in large numbers: not opened.
_NO_VIDEOS = {
    "npy", "npz", "pt", "pth", "pkl", "mat", "h5", "hdf5", "arrow", "parquet", "zip", "gz", "tar", "7z", "rar", "wav",
    "mp3", "flac", "aac", "m4a", "bmp", "tif", "tiff", "webp", "pdf",
}  # fmt: skip
CHECK_PAGE = "check.html"  # marks a folder that `data check` wrote
_UCF_GROUP = re.compile(r"(?:^|[_\-. ])(g\d+)(?=$|[_\-. ])")
_KINETICS_NAME = re.compile(r"(.{11})_\d{6}_\d{6}")  # ids may hold and begin with underscores
_UCF_RULE, _FIRST_PART_RULE = "g<number> between separators", "the part before the first underscore"
EACH_NAME_RULE = "each file, as its name has no underscore"
_KINETICS_RULE = "the YouTube id before _<start>_<end>"


@dataclass(frozen=True)
class Grouping:
    """The group of each file, and a description of the rule."""

    groups: tuple[str, ...]
    rule: str


def subfolders(folder: Path) -> list[Path]:
    """The folders in `folder` by name, without hidden ones and those that `data check` wrote."""
    entries = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return [entry for entry in entries if not (entry / CHECK_PAGE).is_file()]


def in_or_beside(folder: Path, name: str) -> Path | None:
    """`folder` or its parent, whichever holds a file `name`: archives place their lists in either. None if neither."""
    return next((place for place in (folder, folder.absolute().parent) if (place / name).is_file()), None)


def files_in(folder: Path, wanted: Callable[[Path], bool]) -> list[Path]:
    """The files in `folder` that are `wanted`, by name, without hidden ones; broken links count as files."""
    with os.scandir(folder) as entries:
        # Not entry.is_dir(): it raises for a link that leads to itself, as this does not.
        names = sorted(entry.name for entry in entries if entry.name[0] != "." and not os.path.isdir(entry.path))
    return [folder / name for name in names if wanted(folder / name)]


def is_video_name(path: Path) -> bool:
    return path.suffix.lower().removeprefix(".") in SUFFIXES


def looks_like_video(path: Path) -> bool:
    """Whether the suffix is a video's, or else FFmpeg finds a video in the file; text and _NO_VIDEOS are not asked."""
    if is_video_name(path):
        return True  # even if it cannot be opened: the import then lists it as skipped, with the reason
    if is_image_name(path) or path.suffix.lower().removeprefix(".") in _NO_VIDEOS or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            start = file.read(1024)
    except OSError:
        return True  # the import says why it cannot be read
    riff = start[:4] == b"RIFF" and start[8:12] == b"AVI "
    if riff or start[4:8] == b"ftyp" or start[:4] in (b"\x1aE\xdf\xa3", b"GIF8"):
        return True  # even if it is damaged: the import then says so
    return not _is_text(start) and holds_video(path)


def _is_text(start: bytes) -> bool:
    """Whether a file's first bytes are printable ASCII or UTF-8: a list, a note, but no video."""
    return not any(byte < 32 and byte not in b"\t\n\f\r" for byte in start) and not start.startswith(b"YUV4MPEG2")


EACH_FILE = "each-file"
"""The `--group` by which every file is its own group."""


def group_by_name(names: Sequence[str], pattern: str | None = None) -> Grouping:
    """The group of each file, and the rule that gave it, from names that may have folders in front.

    By `pattern` (its first bracket if it has one); by default UCF's g<number> as a whole word, else Kinetics' YouTube
    id, else the part before the first underscore, else the whole name; underscores at the start are not counted. Raises
    DataError if the pattern is not a regular expression or does not match a name. By EACH_FILE, a group is a name
    without its suffix, with its folders if two folders have a file of that name.
    """
    stems = [SUFFIX.sub("", Path(name).stem) for name in names]  # a mirrored copy has its original's group
    if pattern == EACH_FILE and len(set(stems)) < len(stems):
        stems = [Path(name).with_name(stem).as_posix() for name, stem in zip(names, stems, strict=True)]
    if pattern is not None:
        return Grouping(tuple(matched_group(pattern, stem) for stem in stems), f"--group '{pattern}'")
    found = [_default_group(stem) for stem in stems]
    counts = Counter(rule for _, rule in found)
    rule = ", ".join(counts) if len(counts) == 1 else ", ".join(f"{rule} ({n} files)" for rule, n in counts.items())
    return Grouping(tuple(group for group, _ in found), rule)


def _default_group(stem: str) -> tuple[str, str]:
    """The group of a name, and the rule that gave it."""
    if match := _UCF_GROUP.search(stem):
        return match[1], _UCF_RULE
    if match := _KINETICS_NAME.fullmatch(stem):
        return match[1], _KINETICS_RULE
    first, underscore, _ = stem.lstrip("_").partition("_")
    return (first, _FIRST_PART_RULE) if underscore else (first or stem, EACH_NAME_RULE)


def matched_group(pattern: str, name: str) -> str:
    """The part of a name that `--group` matches, or for `each-file` all of it. Raises DataError if nothing matches."""
    if pattern == EACH_FILE:
        return name
    try:
        match = re.search(pattern, name)
    except re.error as error:
        raise DataError(f"--group '{pattern}' is not a valid regular expression: {error}.") from None
    group = match and (match[1] if match.re.groups else match[0])
    if not group:
        near = f" Did you mean {EACH_FILE}?" if difflib.get_close_matches(pattern, [EACH_FILE], cutoff=0.7) else ""
        raise DataError(f"--group '{pattern}' does not match the name '{name}'; it must match every file name.{near}")
    return group


def read_lines(file: Path) -> list[tuple[str, str]]:
    """(where, line) for each line of a text file that is not blank; `where` names the file and line in errors.

    Line ends, a byte order mark and surrounding blanks are removed. Raises DataError.
    """
    if not file.is_file():
        raise DataError(f"{file}: no such file, but this layout needs it.")
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{file.name}: not UTF-8 text ({error}).") from None
    return [(f"{file.name} line {number}", line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def read_csv(file: Path, expected: str) -> Iterator[tuple[str, list[str]]]:
    """(where, cells) for each line of a CSV file that is not empty. Raises DataError with the line and `expected`."""
    with file.open(newline="", encoding="utf-8-sig") as text:
        reader = csv.reader(text, strict=True)
        try:
            for row in reader:
                if row:
                    yield f"{file.name} line {reader.line_num}", [cell.strip() for cell in row]
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{file.name} line {reader.line_num}: {error}; expected {expected}.") from None

"""Golf (VGAN): one JPEG per clip, its square frames stacked vertically, and a text file of relative paths."""

from pathlib import Path

from videogan.data.formats.contract import DRAWN, Found, FoundVideo, ImportOptions
from videogan.data.formats.listing import files_in, matched_group, read_lines
from videogan.data.formats.strips import n_squares
from videogan.data.manifest import DataError
from videogan.data.stills import is_image_name

NAME = "golf"
TAKES = frozenset({"group"})
LABEL = "golf"  # the data set has one class


def recognises(folder: Path) -> bool:
    """Whether exactly one text file lists pictures, and the first picture is a column of squares."""
    lists = _lists(folder)
    return len(lists) == 1 and n_squares(folder / _first_line(lists[0]), upright=True) >= 2


def find(folder: Path, options: ImportOptions) -> Found:
    """The clips of the list. All clips of a video are in one folder, which is their group. Raises DataError."""
    lists = _lists(folder)
    if len(lists) != 1:
        raise DataError(f"{folder}: {len(lists)} text files that list pictures, expected one, such as golf.txt.")
    videos: dict[str, FoundVideo] = {}
    for where, line in read_lines(lists[0]):
        if not is_image_name(line):
            raise DataError(f"{where}: expected the relative path of a JPEG or PNG picture, got '{line}'.")
        if line in videos:
            raise DataError(f"{where}: {line} is listed twice; remove one line.")
        group = matched_group(options.group, line) if options.group else Path(line).parent.as_posix()
        videos[line] = FoundVideo(folder / line, LABEL, group)
    rule = f"--group '{options.group}'" if options.group else "the video's folder"
    return Found(tuple(sorted(videos.values(), key=lambda video: video.path)), rule, DRAWN)


def _lists(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return files_in(folder, lambda path: path.suffix == ".txt" and is_image_name(_first_line(path)))


def _first_line(file: Path) -> str:
    with file.open(encoding="utf-8-sig", errors="replace") as text:
        return text.readline(4096).strip()

"""Strips: DIR/<class>/<clip>.jpg, each picture a clip of square frames side by side (MoCoGAN's `data/actions`)."""

from pathlib import Path

from PIL import Image

from videogan.data.formats.contract import Found, ImportOptions
from videogan.data.formats.listing import files_in, is_video_name, subfolders
from videogan.data.formats.plain_folders import found_in_classes
from videogan.data.stills import IMAGE_SUFFIXES, is_image_name

NAME = "strips"
TAKES = frozenset({"group", "split_by"})
LEAST_SQUARES = 4  # in a row of which a picture is taken for a strip; fewer may be one wide frame


def recognises(folder: Path) -> bool:
    """Whether class folders hold pictures and no videos, and each first picture is a row of at least 4 squares.

    Single frames may be two or three squares wide.
    """
    if not folder.is_dir():
        return False
    classes = subfolders(folder)
    firsts = [path for entry in classes for path in files_in(entry, is_image_name)[:1]]
    if not firsts or any(files_in(entry, is_video_name) for entry in classes):
        return False
    return all(n_squares(path, upright=False) >= LEAST_SQUARES for path in firsts)


def find(folder: Path, options: ImportOptions) -> Found:
    """The pictures in the class folders; groups, split.csv and errors are as in plain folders."""
    return found_in_classes(folder, options, is_image_name, " ".join(IMAGE_SUFFIXES), "<clip>.jpg, frames side by side")


def n_squares(path: Path, upright: bool) -> int:
    """How many square frames fill a picture as a row or column, from its header; 0 if none do or it is no picture."""
    try:
        with Image.open(path, formats=["JPEG", "PNG"]) as image:
            width, height = image.size
    except (OSError, SyntaxError):
        return 0
    long, side = (height, width) if upright else (width, height)
    return 0 if long % side else long // side

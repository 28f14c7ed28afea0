"""Strips: DIR/<class>/<clip>.jpg, each picture a clip of square frames side by side (MoCoGAN's `data/actions`)."""

from pathlib import Path

from PIL import Image

from videogan.data.formats.contract import Found, ImportOptions
from videogan.data.formats.listing import files_in, is_video_name, subfolders
from videogan.data.formats.plain_folders import found_in_classes
from videogan.data.stills import IMAGE_SUFFIXES, is_image_name

NAME = "strips"
TAKES = frozenset({"group", "split_by"})


def recognises(folder: Path) -> bool:
    """Whether class folders hold pictures and no videos, and each first picture is a row of at least two squares."""
    if not folder.is_dir():
        return False
    classes = subfolders(folder)
    firsts = [path for entry in classes for path in files_in(entry, is_image_name)[:1]]
    if not firsts or any(files_in(entry, is_video_name) for entry in classes):
        return False
    return all(is_strip(path, upright=False) for path in firsts)


def find(folder: Path, options: ImportOptions) -> Found:
    """The pictures in the class folders; groups, split.csv and errors are as in plain folders."""
    return found_in_classes(folder, options, is_image_name, " ".join(IMAGE_SUFFIXES), "<clip>.jpg, frames side by side")


def is_strip(path: Path, upright: bool) -> bool:
    """Whether the size of a picture, read from its header, is at least two square frames in a row or column."""
    try:
        with Image.open(path, formats=["JPEG", "PNG"]) as image:
            width, height = image.size
    except (OSError, SyntaxError):
        return False
    long, side = (height, width) if upright else (width, height)
    return long >= 2 * side and long % side == 0

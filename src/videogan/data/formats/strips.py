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
    """Class folders with pictures and no videos, where the first picture of each is a row of at least two squares."""
    if not folder.is_dir():
        return False
    classes = subfolders(folder)
    firsts = [path for entry in classes for path in files_in(entry, is_image_name)[:1]]
    if not firsts or any(files_in(entry, is_video_name) for entry in classes):
        return False
    return all(is_strip(path, upright=False) for path in firsts)


def find(folder: Path, options: ImportOptions) -> Found:
    """The pictures in the class folders; groups, split.csv and errors are those of plain folders."""
    return found_in_classes(folder, options, is_image_name, " ".join(IMAGE_SUFFIXES), "<clip>.jpg, frames side by side")


def is_strip(path: Path, upright: bool) -> bool:
    """Whether a picture's size is a whole number, at least two, of square frames; its header alone is read."""
    try:
        with Image.open(path, formats=["JPEG", "PNG"]) as image:
            width, height = image.size
    except (OSError, SyntaxError):
        return False
    long, side = (height, width) if upright else (width, height)
    return long >= 2 * side and long % side == 0

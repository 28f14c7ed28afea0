"""Named preprocessings from frames of any size to the networks' square input, including the papers'. No torch here."""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass

Resized = Callable[[int, int, int], tuple[int, int]]


@dataclass(frozen=True)
class Preprocessing:
    """A named way to turn a frame of any size into (size, size) pixels: resize, then crop.

    `resized` maps the displayed (width, height) and the size to (width, height) before the crop. `left` is the crop's
    first column, by default that of a centred crop. `least` is the smallest (width, height) of a source, by default
    (size, size). `deinterlaces`: interlaced frames are deinterlaced before.
    """

    name: str
    size: int
    resized: Resized
    left: int | None = None
    least: tuple[int, int] | None = None
    deinterlaces: bool = False

    def problem(self, width: int, height: int) -> str | None:
        """Why a source of this size is too small, or None; nothing is ever enlarged silently."""
        least_width, least_height = self.least or (self.size, self.size)
        if width >= least_width and height >= least_height:
            return None
        if least_width == least_height:
            return f"{width}x{height} pixels, {self.name} needs at least {least_width} on the short side"
        return f"{width}x{height} pixels, {self.name} needs at least {least_width}x{least_height}"

    def corner(self, width: int, height: int) -> tuple[int, int]:
        """(left, top) of the crop in a frame already resized to (width, height)."""
        return (width - self.size) // 2 if self.left is None else self.left, (height - self.size) // 2

    def __reduce__(self) -> tuple:
        return preprocessing_named, (self.name,)


def _short_side(width: int, height: int, size: int) -> tuple[int, int]:
    short = min(width, height)
    return max(size, round(width * size / short)), max(size, round(height * size / short))


def _always(resized_width: int, resized_height: int) -> Resized:
    """Resize every source to the same size, ignoring its aspect ratio."""
    return lambda width, height, size: (resized_width, resized_height)


def _untouched(width: int, height: int, size: int) -> tuple[int, int]:
    return width, height


PREPROCESSINGS = {"plain": _short_side, "deinterlaced": _short_side}
_OF_PAPERS = {
    paper.name: paper
    for paper in (
        # MVT, section 6.1: UCF-101 is resized without keeping the aspect ratio, then cropped.
        Preprocessing("mvt_ucf101_96", 96, _always(127, 127), least=(127, 127)),
        Preprocessing("mvt_ucf101_128", 128, _always(170, 170), least=(170, 170)),
        # "we cropped the videos to 96x96": nothing is resized.
        Preprocessing("mvt_weizmann", 96, _untouched),
        # Height 96, width 136 for the common 100x142. Jester's width varies; narrow clips are stretched, as theirs are.
        Preprocessing("mvt_jester", 96, _always(136, 96)),
        # TGAN's released reader crops columns 10:74 of 85, not exactly the centre.
        Preprocessing("tgan_64", 64, _always(85, 64), left=10, least=(85, 64)),
        # TGANv2's released reader, but for its random column of the crop.
        Preprocessing("tganv2_192", 192, _always(256, 192), least=(256, 192)),
    )
}


def preprocessing_named(name: str) -> Preprocessing:
    """A paper's preprocessing by name, or `plain_<size>`: short side to `size`, then the centre square.

    `deinterlaced_<size>` is plain_<size> after FFmpeg's bwdif; it decodes each file from its start, even for a window.
    Raises ValueError with the list of names for any other name.
    """
    if name in _OF_PAPERS:
        return _OF_PAPERS[name]
    match = re.fullmatch(r"([a-z0-9_]+)_([1-9]\d*)", name)
    if match is None or match[1] not in PREPROCESSINGS:
        raise ValueError(_unknown(name))
    return Preprocessing(name, int(match[2]), PREPROCESSINGS[match[1]], deinterlaces=match[1] == "deinterlaced")


def _unknown(name: str) -> str:
    size = (re.findall(r"[1-9]\d*", name) or ["64"])[-1]
    near = difflib.get_close_matches(name, [*_OF_PAPERS, *(f"{kind}_{size}" for kind in PREPROCESSINGS)], n=1)
    known = ", ".join([*(f"{kind}_<size>" for kind in PREPROCESSINGS), *_OF_PAPERS])
    return f"preprocessing must be one of {known}, got {name!r}." + (f" Did you mean {near[0]}?" if near else "")

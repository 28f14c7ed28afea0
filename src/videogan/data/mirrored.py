"""Mirrored copies: clips that are another clip of the data set, flipped left to right, found by name or by content.

A clip and its mirror image are no two independent clips: an interval over n clips and their n mirror images is too
narrow by sqrt(2). Content is compared by thumbnails: four frames of a clip as tiny grey pictures.
"""

import re
from collections.abc import Sequence
from pathlib import PurePath

import numpy as np

from videogan.data.thumbnails import N_PICTURES, SIDE

REASON, TWICE = "mirrored copy of ", ": would count twice"  # to leave out a copy, around its original's name
MOST_DIFFERENCE = 3.0  # grey levels of 255 between a mirrored clip and its copy, on average over a picture
MOST_RATIO = 0.15  # of that difference to the one without mirroring; named copies reach .06, other clips start at .29
LEAST_ASYMMETRY = 2.0  # grey levels without mirroring: below, a clip looks like its own mirror image and tells nothing
SUFFIX = re.compile(r"[_\-. ](?:h?flip(?:ped)?|mirror(?:ed)?)$", re.IGNORECASE)  # x_flip, x-mirrored, x.hflip


def reason_of_copy(original: str) -> str:
    """Why a mirrored copy of the clip named `original` is left out."""
    return f"{REASON}{original}{TWICE}"


def originals_of(paths: Sequence[PurePath], thumbnails: Sequence[bytes], lengths: Sequence[int]) -> dict[int, int]:
    """Index of each mirrored copy -> index of its original, which is no copy itself; names come before content."""
    named = originals_by_name(paths)
    by_content = originals_by_content(thumbnails, lengths)
    found = {copy: original for copy, original in by_content.items() if original not in named} | named
    for copy in found:
        while found[copy] in found:
            found[copy] = found[found[copy]]
    return found


def originals_by_name(paths: Sequence[PurePath]) -> dict[int, int]:
    """Index of each mirrored copy -> index of its original: `x_flip.mp4` is one if the folder has an `x.mp4`.

    The suffixes are flip, flipped, hflip, hflipped, mirror and mirrored after a separator, in any case.
    """
    names = [_name(path) for path in paths]
    index_of = {name: index for index, name in enumerate(names)}
    found = {}
    for index, (folder, stem, row) in enumerate(names):
        original = index_of.get((folder, SUFFIX.sub("", stem), row))
        if SUFFIX.search(stem) and original is not None:
            found[index] = original
    return found


def _name(path: PurePath) -> tuple[PurePath, str, str]:
    """A clip's folder, name without ending, and row in its array: (a, x, ""), or (a, x, 7) for `a/x.npy#7`."""
    name, _, row = path.name.partition("#")
    return path.parent, PurePath(name).stem, row


def originals_by_content(thumbnails: Sequence[bytes], lengths: Sequence[int]) -> dict[int, int]:
    """Index of each mirrored copy -> index of the earlier clip, of as many frames, whose mirror image it is.

    A clip that looks like its own mirror image is nobody's copy or original. `thumbnails`: from `Thumbnails.packed`;
    clips with b"" are not compared.
    """
    of_length: dict[int, list[int]] = {}
    for index, (packed, length) in enumerate(zip(thumbnails, lengths, strict=True)):
        if packed:
            of_length.setdefault(length, []).append(index)
    found: dict[int, int] = {}
    for indices in of_length.values():
        pictures = np.stack([np.frombuffer(thumbnails[index], np.uint8) for index in indices])
        for copy, original in _copies(pictures.reshape(-1, N_PICTURES, SIDE, SIDE).astype(np.float32)):
            if indices[original] not in found:
                found.setdefault(indices[copy], indices[original])
    return found


def _copies(pictures: np.ndarray) -> list[tuple[int, int]]:
    """(copy, original) pairs among clips (n, N_PICTURES, SIDE, SIDE), the original first in order; sorted."""
    # Mirroring keeps the means of a picture and of its rows, and means differ at most as much as pixels do: sorting by
    # one mean and comparing those of the rows leaves few pairs to compare pixel by pixel.
    order = np.argsort(pictures[:, 0].mean((1, 2)), kind="stable")
    pictures = pictures[order]
    of_rows, first = pictures.mean(3), pictures[:, 0].mean((1, 2))
    ends = np.searchsorted(first, first + MOST_DIFFERENCE, side="right")
    pairs = []
    for at, end in enumerate(ends):
        apart = np.abs(of_rows[at + 1 : end] - of_rows[at]).mean(2).max(1, initial=0)
        near = at + 1 + np.flatnonzero(apart <= MOST_DIFFERENCE)
        for other in near[_are_mirrored(pictures[at], pictures[near])]:
            one, two = sorted((int(order[at]), int(order[other])))
            pairs.append((two, one))
    return sorted(pairs)


def _are_mirrored(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n,) bool: whether a clip (N_PICTURES, SIDE, SIDE) is the mirror image of each of `others`, and not its equal."""
    mirrored, plain = (np.abs(way - others).mean((2, 3)).max(1, initial=0) for way in (one[:, :, ::-1], one))
    return (mirrored <= np.minimum(MOST_DIFFERENCE, MOST_RATIO * plain)) & (plain >= LEAST_ASYMMETRY)

"""What a layout is: a module with NAME, TAKES, `recognises(folder) -> bool` and `find(folder, options) -> Found`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from videogan.data.manifest import DataError


@dataclass(frozen=True)
class FoundVideo:
    """A clip of a data set as its layout tells it, before anything is decoded."""

    path: Path  # a video file, or what videogan.data.stills reads
    label: str
    group: str
    split: str | None = None  # train or test; None: drawn by group, or skipped
    skipped: str | None = None  # why it is not used; then it is not decoded either


@dataclass(frozen=True)
class Found:
    """The clips of a data set, and the rules that gave their groups and splits, in words."""

    videos: tuple[FoundVideo, ...]
    group_rule: str
    split_rule: str
    classes: tuple[str, ...] | None = None  # in the order of the data set's own list of classes, where it has one


@dataclass(frozen=True)
class ImportOptions:
    """What a user may say about a layout; each layout takes those named in its TAKES."""

    group: str | None = None  # a regular expression that finds the group in a name
    split_by: Literal["file", "group"] | None = None
    fold: int | None = None  # which of the published splits


class Layout(Protocol):
    """One published way to store a data set on disk; the modules of this package are the ones that exist."""

    NAME: str
    TAKES: frozenset[str]  # the ImportOptions that have an effect

    def recognises(self, folder: Path) -> bool:
        """Whether `folder` looks like this layout; reads names and first lines only."""

    def find(self, folder: Path, options: ImportOptions) -> Found:
        """The clips of `folder`, ordered by path. DataError tells what is missing or wrong, with its line."""


DRAWN = "a quarter of the groups"  # the split rule of clips without a split of their own


def refuse_options(layout: Layout, options: ImportOptions) -> None:
    """Raises DataError for an option that has no effect on the layout."""
    for name in ("group", "split_by", "fold"):
        if getattr(options, name) is not None and name not in layout.TAKES:
            flag = "--" + name.replace("_", "-")
            raise DataError(f"{flag} has no effect on the layout {layout.NAME}. Leave it out, or choose a --layout.")


def chosen_fold(options: ImportOptions) -> int:
    """Which of three published splits, from 1; the first by default."""
    fold = 1 if options.fold is None else options.fold
    if fold not in (1, 2, 3):
        raise DataError(f"--fold must be 1, 2 or 3, got {fold}.")
    if options.fold is not None and options.split_by == "group":
        raise DataError("--fold chooses a published split, --split-by group draws one. Leave one of them out.")
    return fold

"""The contract of a layout: a module with NAME, TAKES, `recognises(folder)` and `find(folder, options)`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from videogan.data.manifest import DataError


def as_text(name: Path | str) -> str:
    """A file name as text that can be printed and stored: bytes that are not UTF-8 become \\xe9."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class FoundVideo:
    """A clip as the layout lists it, before anything is decoded. One whose name is not UTF-8 is skipped."""

    path: Path  # a video file, or anything that videogan.data.stills reads
    label: str
    group: str
    split: str | None = None  # train, select or test; None: to be drawn by group, or skipped
    skipped: str | None = None  # why it is not used; such a clip is not decoded

    def __post_init__(self) -> None:
        # A manifest is UTF-8: without this the import would decode everything, then fail to write it.
        if as_text(self.path) != str(self.path):
            texts = {"path": Path(as_text(self.path)), "label": as_text(self.label), "group": as_text(self.group)}
            for name, value in (texts | {"split": None, "skipped": "its name is not UTF-8; rename it"}).items():
                object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Found:
    """The clips of a data set, and a description of the rules that gave their groups and splits."""

    videos: tuple[FoundVideo, ...]
    group_rule: str
    split_rule: str
    classes: tuple[str, ...] | None = None  # in the data set's own order, if it publishes one


@dataclass(frozen=True)
class ImportOptions:
    """A user's choices for an import; each layout accepts the ones named in its TAKES."""

    group: str | None = None  # a regular expression that finds the group in a name
    split_by: Literal["file", "group"] | None = None
    fold: int | None = None  # which of the published splits


class Layout(Protocol):
    """One way to store a data set on disk; each module of this package is a Layout."""

    NAME: str
    TAKES: frozenset[str]  # names of the ImportOptions that have an effect

    def recognises(self, folder: Path) -> bool:
        """Whether `folder` looks like this layout; reads only file names, first lines and image headers."""

    def find(self, folder: Path, options: ImportOptions) -> Found:
        """The clips of `folder`, ordered by path. Raises DataError that names the missing file or the wrong line."""


DRAWN = "a quarter of the groups for test, a quarter for select"  # the split rule of clips without a published split
# What a file may call the splits.
_SPLIT_NAMES = {"train": "train", "select": "select", "val": "select", "validation": "select", "test": "test"}
# What data sets call the folders of their splits, in lower case.
_SPLIT_FOLDERS = _SPLIT_NAMES | {"training": "train", "valid": "select", "validate": "select", "testing": "test"}


def split_named(name: str, where: str) -> str:
    """The split that a file calls `name`; `where` names its line in the error. Raises DataError."""
    if name not in _SPLIT_NAMES:
        raise DataError(f"{where}: split must be train, select (or val, validation) or test, got '{name}'.")
    return _SPLIT_NAMES[name]


def split_of_folder(name: str) -> str | None:
    """The split that a folder called `name` holds; None if the name is none of a split."""
    return _SPLIT_FOLDERS.get(name.lower())


def val_for_test(splits: Sequence[str | None], names: str) -> tuple[list[str | None], str]:
    """Published splits, select taken for test if no clip is in test, and the rule; `names`: what gives the splits."""
    if "test" in splits or "select" not in splits:
        return list(splits), names
    return ["test" if split == "select" else split for split in splits], f"{names}; val for test"


def refuse_options(layout: Layout, options: ImportOptions) -> None:
    """Raise DataError for an option that has no effect on the layout."""
    for name in ("group", "split_by", "fold"):
        if getattr(options, name) is not None and name not in layout.TAKES:
            flag = "--" + name.replace("_", "-")
            raise DataError(
                f"{flag} has no effect on the layout {layout.NAME}. Remove it, or name another layout with --layout."
            )


def chosen_fold(options: ImportOptions) -> int:
    """The number of the published split, 1 to 3; by default 1. Raises DataError."""
    fold = 1 if options.fold is None else options.fold
    if fold not in (1, 2, 3):
        raise DataError(f"--fold must be 1, 2 or 3, got {fold}.")
    if options.fold is not None and options.split_by == "group":
        raise DataError("--fold chooses a published split, --split-by group draws a new one. Remove one of them.")
    return fold

"""The layouts that `vgsearch data import` reads: one file each, listed here, behind `contract.Layout`."""

from pathlib import Path

from videogan.data.formats import csv_list, golf, jester, moving_mnist, plain_folders, strips, ucf101, weizmann
from videogan.data.formats.contract import Layout
from videogan.data.manifest import DataError

# In the order they are asked: those with lists of their own before those told by names, plain folders last.
FORMATS: dict[str, Layout] = {
    module.NAME: module for module in (csv_list, ucf101, jester, golf, moving_mnist, strips, weizmann, plain_folders)
}


def layout_of(folder: Path, name: str | None = None) -> Layout:
    """The layout called `name`, by default the first that recognises `folder`. Raises DataError."""
    if name is not None:
        return FORMATS[name]
    if not folder.exists():
        raise DataError(f"{folder}: no such folder. Expected {folder}/<class>/<clip>.avi.")
    return next((layout for layout in FORMATS.values() if layout.recognises(folder)), plain_folders)

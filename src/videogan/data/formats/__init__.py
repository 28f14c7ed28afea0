"""The folder layouts that `vgsearch data import` reads: one module each, with the members of `contract.Layout`.

Import `FORMATS` and `layout_of`. Layouts import the manifest and `stills`; they decode nothing.
"""

from pathlib import Path

from videogan.data.formats import (
    csv_list,
    golf,
    hmdb51,
    jester,
    kinetics,
    moving_mnist,
    nested,
    plain_folders,
    strips,
    ucf101,
    weizmann,
)
from videogan.data.formats.contract import Layout
from videogan.data.manifest import DataError

# `layout_of` tries them in this order: layouts with list files, then layouts recognised by names, then nested and
# plain folders.
FORMATS: dict[str, Layout] = {
    module.NAME: module
    for module in (
        csv_list,
        ucf101,
        hmdb51,
        kinetics,
        jester,
        golf,
        moving_mnist,
        strips,
        weizmann,
        nested,
        plain_folders,
    )
}


def layout_of(folder: Path, name: str | None = None) -> Layout:
    """The layout called `name`, by default the first that recognises `folder`. Raises DataError without a folder."""
    if name is not None:
        return FORMATS[name]
    if not folder.exists():
        raise DataError(f"{folder}: no such folder. Expected {folder}/<class>/<clip>.avi.")
    if folder.is_file() and not csv_list.recognises(folder):
        raise DataError(f"{folder}: this is a file, not a folder. {_remedy(folder)}")
    return next((layout for layout in FORMATS.values() if layout.recognises(folder)), plain_folders)


def _remedy(file: Path) -> str:
    if any(part in (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".rar", ".7z") for part in file.suffixes):
        return "Unpack it, then import the folder."
    return f"Import the folder that holds it, or list clips in {csv_list.LIST_NAME}."

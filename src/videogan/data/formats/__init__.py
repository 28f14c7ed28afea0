"""The folder layouts that `vgsearch data import` reads: one module each, with the members of `contract.Layout`.

Import `FORMATS` and `layout_of`. Layouts import the manifest and `stills`; they decode nothing.
"""

from collections.abc import Mapping
from pathlib import Path

from videogan.config import suggestion
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
from videogan.data.formats.installed import Layouts
from videogan.data.manifest import DataError

# `layout_of` tries them in this order: layouts with list files, then layouts recognised by names, then those of
# installed packages, then nested and plain folders.
_NAMED = (csv_list, ucf101, hmdb51, kinetics, jester, golf, moving_mnist, strips, weizmann)
_FOLDERS = (nested, plain_folders)
FORMATS: Mapping[str, Layout] = Layouts({module.NAME: module for module in (*_NAMED, *_FOLDERS)})
"""Our own layouts, and those of installed packages."""


def layout_of(folder: Path, name: str | None = None) -> Layout:
    """The layout called `name`, by default the first that recognises `folder`.

    Raises DataError without a folder and for an unknown name, ConfigurationError for a broken package.
    """
    if name is not None:
        if name not in FORMATS:
            raise DataError(f"--layout: no layout is called '{name}'{suggestion(name, [*FORMATS, 'auto'])}")
        return FORMATS[name]
    if not folder.exists():
        raise DataError(f"{folder}: no such folder. Expected {folder}/<class>/<clip>.avi.")
    if folder.is_file() and not csv_list.recognises(folder):
        raise DataError(f"{folder}: this is a file, not a folder. {_remedy(folder)}")
    last = [module.NAME for module in _FOLDERS]
    order = [*(name for name in FORMATS if name not in last), *last]
    return next((FORMATS[name] for name in order if FORMATS[name].recognises(folder)), plain_folders)


def _remedy(file: Path) -> str:
    if any(part in (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".rar", ".7z") for part in file.suffixes):
        return "Unpack it, then import the folder."
    return f"Import the folder that holds it, or list clips in {csv_list.LIST_NAME}."

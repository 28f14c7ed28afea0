"""The files of a data folder that are no clip, so that an import can count and name what it passes over."""

import os
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from videogan.data.formats.contract import as_text
from videogan.data.formats.listing import CHECK_PAGE

_LISTS = (".csv", ".parquet")  # read or written by the import
_NAMED = 3  # names in a message


def passed_over(folder: Path, clips: Collection[Path]) -> list[str]:
    """The files below `folder` that are none of `clips` (files or folders), relative to it, sorted.

    Hidden files, lists, and folders that `data check` wrote are left out. A name that is not UTF-8 is shown escaped.
    """
    taken, root, found = {str(path) for path in clips}, str(folder), []
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name[0] != "." and as_text(f"{place}/{name}") not in taken]
        if CHECK_PAGE in names:
            folders.clear()
            continue
        paths = (as_text(f"{place}/{name}") for name in names if name[0] != "." and Path(name).suffix not in _LISTS)
        found += [path.removeprefix(f"{root}/") for path in paths if path not in taken]
    return sorted(found)


def counted_by_suffix(names: Sequence[str]) -> dict[str, int]:
    """How many of the names have each suffix in lower case, the most frequent first; "no suffix" if they have none."""
    return dict(Counter(Path(name).suffix.lower() or "no suffix" for name in names).most_common())


def described(names: Sequence[str]) -> str:
    """Counts and first names in one phrase: "3 files: .txt 2, .jpg 1 (run/a.txt, run/b.jpg, ...)"."""
    counts = ", ".join(f"{suffix} {n}" for suffix, n in counted_by_suffix(names).items())
    first = ", ".join([*names[:_NAMED], *(["..."] if len(names) > _NAMED else [])])
    return f"{len(names)} file{'s' if len(names) != 1 else ''}: {counts} ({first})"

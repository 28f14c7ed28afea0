"""The folders step_<n> in which a program writes its samples. No torch here."""

import re
import time
from pathlib import Path


def step_folders(samples: Path) -> dict[int, Path]:
    """The folders step_<n> in a folder, by their step, in order."""
    found = {}
    for path in samples.iterdir() if samples.is_dir() else ():
        if (match := re.fullmatch(r"step_(\d+)", path.name)) and path.is_dir():
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def seconds_unchanged(folder: Path) -> float:
    """Since a file or folder below `folder` was last written."""
    newest = 0.0
    for path in (folder, *folder.rglob("*")):
        try:
            newest = max(newest, path.stat().st_mtime)
        except FileNotFoundError:  # renamed meanwhile
            return 0.0
    return time.time() - newest

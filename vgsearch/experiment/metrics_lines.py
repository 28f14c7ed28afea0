"""The lines of a trial's metrics.jsonl: JSON objects with a step; damaged ones are left out and named."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from videogan.storage.set_aside import DamagedFile


def whole_lines(path: Path) -> list[dict[str, Any]]:
    """The complete lines; a crash may have cut off the last one. Damaged lines are left out, with a warning."""
    lines, damaged = read_lines(path) if path.exists() else ([], [])
    if damaged:
        warnings.warn(f"{path} {what_is_damaged(damaged)}; they are left out.", DamagedFile, stacklevel=2)
    return lines


def what_is_damaged(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:3])) + (", ..." if len(numbers) > 3 else "")
    return f"must hold a JSON object with a step in each line, but not in {len(numbers)} (number {shown})"


def read_lines(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """The whole lines of metrics.jsonl, and the numbers, from 1, of the damaged ones. Any: JSON."""
    lines, damaged = [], []
    for number, text in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if isinstance(line, dict) and isinstance(line.get("step"), int | float):
            lines.append(line)
        else:
            damaged.append(number)
    return lines, damaged

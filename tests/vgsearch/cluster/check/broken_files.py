"""Cluster files for these tests: four correct ones, and those of broken.yaml, each an edit of a correct one."""

from dataclasses import dataclass
from pathlib import Path

import yaml

HERE = Path(__file__).parent
CORRECT = {file.stem: file.read_text() for file in sorted((HERE / "correct").glob("*.yaml"))}


@dataclass(frozen=True)
class BrokenFile:
    """The text of a broken file, the one rule that must find it, and the line that the finding names."""

    name: str
    text: str
    rule: str
    line: int
    is_note: bool


def _broken(name: str, entry: dict) -> BrokenFile:
    text = CORRECT.get(entry["correct"], "")
    for old, new in entry["edits"]:
        assert text.count(old) == 1, f"{name}: {old!r} must occur once in {entry['correct']}"
        text = text.replace(old, new)
    return BrokenFile(name, text, entry.get("breaks") or entry["notes"], entry["line"], "notes" in entry)


BROKEN = {name: _broken(name, entry) for name, entry in yaml.safe_load((HERE / "broken.yaml").read_text()).items()}

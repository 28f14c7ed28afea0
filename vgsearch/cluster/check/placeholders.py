"""Placeholders that a user must fill in: BUCKET, and words that start with FILL_."""

import re
from collections.abc import Iterator, Mapping

from vgsearch.cluster.check.finding import Finding
from videogan.config import ConfigurationError, suggestion

_PLACEHOLDER = re.compile(r"\b(?:BUCKET|FILL_[A-Z]+(?:_[A-Z]+)*)\b")


def placeholders(text: str) -> dict[str, int]:
    """The first line of each placeholder; comments do not count."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        for name in () if _is_comment(line) else _PLACEHOLDER.findall(line):
            found.setdefault(name, number)
    return found


def placeholders_left(text: str) -> Iterator[Finding]:
    """placeholder (note): all placeholders are filled in."""
    for name, line in placeholders(text).items():
        must, remedy = f"{name} must be filled in before the cluster starts", "Replace it by your own."
        yield Finding("placeholder", line, must, "the placeholder", remedy, is_note=True)


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with the named placeholders replaced; raises ConfigurationError for unknown names."""
    known = list(placeholders(text))
    for name in values:
        if name not in known:
            raise ConfigurationError(f"--fill {name}: the file has no such placeholder{suggestion(name, known)}")
    lines = text.splitlines(keepends=True)
    return "".join(
        line if _is_comment(line) else _PLACEHOLDER.sub(lambda match: values.get(match[0], match[0]), line)
        for line in lines
    )


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")

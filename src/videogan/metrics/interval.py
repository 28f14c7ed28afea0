"""A mean with its 95 % interval, and its JSON. Imports no torch, so that scores are read without it."""

import math
from typing import Any, NamedTuple


class Interval(NamedTuple):
    """A mean, such as over classifier seeds, and its 95 % interval; `low` and `high` are NaN if it has none."""

    mean: float
    low: float
    high: float


def plain(value: Any) -> Any:
    """`value` as JSON holds it: NaN as None, an interval as an object of its parts, a tuple as a list."""
    if isinstance(value, Interval):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value

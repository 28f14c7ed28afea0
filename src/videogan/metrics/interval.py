"""A mean with its 95 % interval. Imports no torch, so that programs read scores without it."""

from typing import NamedTuple


class Interval(NamedTuple):
    """A mean, such as over classifier seeds, and its 95 % interval; `low` and `high` are NaN if it has none."""

    mean: float
    low: float
    high: float

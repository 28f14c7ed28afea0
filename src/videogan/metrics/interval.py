"""A mean with its 95 % interval. Imports no torch, so that programs read scores without it."""

import math
from typing import NamedTuple

FEWEST_GROUPS = 5
"""Fewer groups than this vary too little among themselves: resampling them understates the spread."""


class Interval(NamedTuple):
    """A mean, such as over classifier seeds, and its 95 % interval; `low` and `high` are NaN if it has none."""

    mean: float
    low: float
    high: float

    @property
    def brief(self) -> str:
        """0.253 [0.231, 0.272], or without bounds if it has none."""
        bounds = "" if math.isnan(self.low + self.high) else f" [{self.low:.3g}, {self.high:.3g}]"
        return f"{self.mean:.3g}{bounds}"

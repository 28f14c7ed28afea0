"""The description of a chart from which both its HTML and its PNG are drawn; every text is plain text."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

Numbers = Sequence[float | None]  # None and NaN leave a gap
MUTED = "#8a8f98"


@dataclass(frozen=True)
class Points:
    """A line if `width` is above 0, markers if `size` is."""

    x: Numbers
    y: Numbers
    colour: str
    name: str = ""  # in the legend, if any
    width: float = 0
    size: float = 0
    dash: Literal["solid", "dash", "dot"] = "solid"
    steps: bool = False  # hold each value until the next x
    symbol: Literal["circle", "diamond", "x"] = "circle"
    opacity: float = 1
    hover: Sequence[str] = ()  # the tooltip of each point


@dataclass(frozen=True)
class Band:
    """The area between two lines."""

    x: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    colour: str
    opacity: float = 0.2
    name: str = ""


@dataclass(frozen=True)
class Bars:
    """Horizontal bars in rows by number, from `starts` (default 0)."""

    rows: Sequence[int]
    lengths: Sequence[float]
    colour: str
    name: str = ""
    starts: Sequence[float] = ()
    labels: Sequence[str] = ()  # inside the bars
    hover: Sequence[str] = ()


Series = Points | Band | Bars


@dataclass(frozen=True)
class Note:
    """A text beside, or right above, a point."""

    x: float
    y: float
    text: str
    align: Literal["center", "right"] = "right"
    above: bool = False


@dataclass
class Figure:
    """Series in drawing order; `title` names the y axis and stands above the chart."""

    title: str
    x_title: str
    series: list[Series] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    rows: Sequence[str] = ()  # names of y = 0, 1, ... from the top, if y counts rows
    columns: Sequence[str] = ()  # names of x = 0, 1, ..., if x counts vertical axes with notes as their ticks
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    x_tick: float | None = None  # the distance between ticks, chosen by the library if None
    x_ticks: Sequence[tuple[float, str]] = ()  # the ticks themselves, (x, text)
    height: int = 330  # pixels in a page

    @property
    def x_shown(self) -> tuple[float, float] | None:
        """`x_range`, or a range around values that hardly differ; None leaves it to the library."""
        return self.x_range or _around(value for series in self.series for value in _extent(series)[0])

    @property
    def y_shown(self) -> tuple[float, float] | None:
        """As `x_shown`, for y."""
        return self.y_range or _around(value for series in self.series for value in _extent(series)[1])


CLOSE, MARGIN = 0.02, 0.1
"""Values closer than this share of their size get an axis that extends by that share of it on both sides."""


def _extent(series: Series) -> tuple[Numbers, Numbers]:
    """What a series needs on the axes; bars start at 0 and set their own range."""
    if isinstance(series, Bars):
        return (), ()
    return series.x, (*series.low, *series.high) if isinstance(series, Band) else series.y


def _around(values: Iterable[float | None]) -> tuple[float, float] | None:
    """A range for one value or almost equal ones: a library's own would show their last digits far apart."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    size = max(abs(low), abs(high))
    if high - low > CLOSE * size:
        return None
    middle, half = (low + high) / 2, MARGIN * size or 1.0
    return middle - half, middle + half

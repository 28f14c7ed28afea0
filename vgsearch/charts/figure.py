"""The description of a chart from which both its HTML and its PNG are drawn; every text is plain text."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Numbers = Sequence[float | None]
"""None and NaN leave a gap."""
MUTED = "#8a8f98"


@dataclass(frozen=True)
class Points:
    """A line if `width` is above 0, markers if `size` is; `name` is its legend entry, "" for none."""

    x: Numbers
    y: Numbers
    colour: str
    name: str = ""
    width: float = 0
    size: float = 0
    dash: Literal["solid", "dash", "dot"] = "solid"
    steps: bool = False
    """Hold each value until the next x."""
    symbol: Literal["circle", "diamond", "x"] = "circle"
    opacity: float = 1
    hover: Sequence[str] = ()
    """The text under the pointer for each point."""


@dataclass(frozen=True)
class Band:
    """The area between two lines."""

    x: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    colour: str
    opacity: float = 0.2


@dataclass(frozen=True)
class Bars:
    """Horizontal bars, in rows by number, of some length from `starts` (default 0)."""

    rows: Sequence[int]
    lengths: Sequence[float]
    colour: str
    name: str = ""
    starts: Sequence[float] = ()
    labels: Sequence[str] = ()
    """Inside the bars."""
    hover: Sequence[str] = ()


Series = Points | Band | Bars


@dataclass(frozen=True)
class Note:
    """A text at a place in the units of the axes."""

    x: float
    y: float
    text: str
    align: Literal["left", "center", "right"] = "center"
    above: bool = False
    """Its lower edge is at `y`, not its middle."""
    angle: float = 0
    """Degrees counter-clockwise."""
    bold: bool = False


@dataclass
class Figure:
    """Series in drawing order; `title` names the y axis and stands above the chart."""

    title: str
    x_title: str
    series: list[Series] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    rows: Sequence[str] = ()
    """Names of rows 0, 1, ... from the top, if y counts rows."""
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    x_tick: float | None = None
    """The distance between ticks; chosen by the library if None."""
    has_axes: bool = True
    height: int = 330
    """Pixels in a page."""

"""The parts of a page, before they are written as HTML or Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from vgsearch.charts.figure import Figure


@dataclass(frozen=True)
class Facts:
    """Pairs of a name and its value."""

    pairs: Sequence[tuple[str, str]]
    half: bool = False
    """Whether it is half as wide as the page, so that the next block fits beside it."""
    kind: str = "facts"


@dataclass(frozen=True)
class Text:
    """A paragraph, highlighted if it is a `warning`."""

    text: str
    warning: bool = False
    kind: str = "text"


@dataclass(frozen=True)
class Lines:
    """Preformatted text such as commands and files, folded under its `title` if it has one."""

    text: str
    title: str = ""
    kind: str = "lines"


@dataclass(frozen=True)
class Table:
    """Rows of plain text under `columns`; the columns named in `right` are aligned to the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[str] = frozenset()
    marked: frozenset[int] = frozenset()
    """Numbers of the highlighted rows."""
    title: str = ""
    half: bool = False
    sortable: bool = False
    """Whether a click on a column's head sorts the rows in the HTML page."""
    kind: str = "table"


@dataclass(frozen=True)
class Chart:
    """A figure, interactive in HTML, the file `name`.png beside Markdown."""

    name: str
    figure: Figure
    caption: str = ""
    wide: bool = False
    kind: str = "chart"


@dataclass(frozen=True)
class SmallCharts:
    """Small charts side by side; in the HTML page only."""

    charts: Sequence[Chart]
    caption: str = ""
    kind: str = "small charts"


@dataclass(frozen=True)
class Picture:
    """A PNG, inside the HTML page, the file `name`.png beside Markdown."""

    name: str
    png: bytes
    alternative: str
    """Alternative text."""
    kind: str = "picture"


@dataclass(frozen=True)
class SampleGrid:
    """Clips side by side in one GIF: a row for each class, a column for each source."""

    columns: Sequence[str]
    rows: Sequence[str]
    cell: int
    """Pixels from one clip to the next, including the gap."""
    gif: bytes
    kind: str = "samples"


Block = Facts | Text | Lines | Table | Chart | SmallCharts | Picture | SampleGrid


@dataclass(frozen=True)
class Section:
    """A heading and the blocks under it."""

    title: str
    blocks: Sequence[Block]
    lead: str = ""

    @property
    def anchor(self) -> str:
        return "".join(letter if letter.isalnum() else "-" for letter in self.title.lower())


@dataclass(frozen=True)
class Page:
    """A page with its heading, its most important numbers and its sections."""

    title: str
    subtitle: str
    headline: Sequence[tuple[str, str, str]] = ()
    """(name, value, remark) of the most important numbers."""
    sections: Sequence[Section] = field(default_factory=list)

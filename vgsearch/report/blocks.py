"""What a report is made of, before it is HTML or Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class Facts:
    """Names and what they are."""

    pairs: Sequence[tuple[str, str]]
    half: bool = False
    """Of the width; what follows may stand beside it."""
    kind: str = "facts"


@dataclass(frozen=True)
class Text:
    """A paragraph; a `warning` is one that must be seen."""

    text: str
    warning: bool = False
    kind: str = "text"


@dataclass(frozen=True)
class Lines:
    """Text as it was typed: commands, files. `title` folds it."""

    text: str
    title: str = ""
    kind: str = "lines"


@dataclass(frozen=True)
class Table:
    """Rows of plain text under `columns`; those named in `right` hold numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[str] = frozenset()
    marked: frozenset[int] = frozenset()
    """Rows that stand out."""
    title: str = ""
    half: bool = False
    kind: str = "table"


@dataclass(frozen=True)
class Chart:
    """A plotly figure; `name` is its file among the PNG figures, none where it is for the page alone."""

    name: str
    figure: "go.Figure"
    caption: str = ""
    wide: bool = False
    as_picture: bool = True
    kind: str = "chart"


@dataclass(frozen=True)
class SampleGrid:
    """Clips side by side in one GIF: named rows of classes, named columns of where they come from."""

    columns: Sequence[str]
    rows: Sequence[str]
    cell: int
    """Pixels from one clip to the next, their gap included."""
    gif: bytes
    kind: str = "samples"


Block = Facts | Text | Lines | Table | Chart | SampleGrid


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: Sequence[Block]
    lead: str = ""

    @property
    def anchor(self) -> str:
        return "".join(letter if letter.isalnum() else "-" for letter in self.title.lower())


@dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    subtitle: str
    headline: Sequence[tuple[str, str, str]] = ()
    """(what, its value, what to know of it) of the few numbers that matter most."""
    sections: Sequence[Section] = field(default_factory=list)

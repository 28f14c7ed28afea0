"""Figures as a PNG, drawn by matplotlib, which is imported when it is first needed."""

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vgsearch.charts.figure import MUTED, Band, Bars, Figure, Series

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer

WIDTH, PIXELS_PER_INCH, DPI = 656, 80, 200  # in a page's pixels; a PNG is 1640 pixels wide
POINTS_PER_PIXEL = 72 / PIXELS_PER_INCH
LONGEST_NAME, LETTERS_PER_LINE = 60, 110
INK, GREY, PALE = "#1d2430", "#5b6472", "#e3e7ec"
STYLE: dict[Any, Any] = {
    "text.parse_math": False, "axes.formatter.useoffset": False, "axes.formatter.limits": (-5, 7), "font.size": 9,
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": GREY, "ytick.color": GREY, "grid.color": PALE,
    "axes.edgecolor": PALE, "axes.grid": True, "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False,
    "xtick.major.size": 0, "ytick.major.size": 0, "figure.constrained_layout.h_pad": 0.08,
    "legend.frameon": False, "legend.borderaxespad": 0, "legend.borderpad": 0,
}  # fmt: skip
DASHES = {"solid": "-", "dash": "--", "dot": ":"}
SYMBOLS = {"circle": "o", "diamond": "D", "x": "X"}


def png(figures: Sequence[Figure]) -> bytes:
    """Figures below each other, 1640 pixels wide."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas

    heights, content = [figure.height for figure in figures], io.BytesIO()
    with rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a letter that the font lacks is drawn as a box
        canvas = Canvas((WIDTH / PIXELS_PER_INCH, sum(heights) / PIXELS_PER_INCH), DPI, layout="constrained")
        places = canvas.subplots(len(figures), squeeze=False, height_ratios=heights)[:, 0]
        for axes, figure in zip(places, figures, strict=True):
            _draw(axes, figure)
        canvas.savefig(content, format="png")
    return content.getvalue()


def _draw(axes: "Axes", figure: Figure) -> None:
    drawn = [_draw_series(axes, series) for series in figure.series]
    if figure.rows:
        axes.set_yticks(range(len(figure.rows)), [_short(name) for name in figure.rows])
        axes.set_ylim(len(figure.rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
    if figure.columns:
        axes.set_xticks(range(len(figure.columns)), figure.columns, rotation=28, rotation_mode="anchor", ha="right")
        axes.yaxis.set_visible(False)
    axes.set(xlim=figure.x_shown, ylim=None if figure.rows else figure.y_shown, xlabel=figure.x_title)
    if figure.x_ticks:
        axes.set_xticks([place for place, _ in figure.x_ticks], [text for _, text in figure.x_ticks])
    if figure.x_tick is not None:
        low, high = axes.get_xlim()
        axes.set_xticks(np.arange(np.ceil(low / figure.x_tick), high / figure.x_tick) * figure.x_tick)
    for note in figure.notes:
        axes.text(note.x, note.y, f"{note.text} ", ha=note.align, va="bottom" if note.above else "center", fontsize=8,
                  color=MUTED, bbox={"facecolor": "white", "alpha": 0.78, "linewidth": 0, "pad": 0.5})  # fmt: skip
    for series in figure.series:
        if isinstance(series, Bars):
            _label_bars(axes, series)
    named = [(artist, _short(series.name)) for artist, series in zip(drawn, figure.series, strict=True) if series.name]
    n_columns = max(1, LETTERS_PER_LINE // (max((len(name) for _, name in named), default=0) + 6))
    if named:
        axes.legend(*zip(*named, strict=True), loc="lower left", bbox_to_anchor=(0, 1.02), ncols=n_columns)
    axes.set_title(figure.title, loc="left", fontsize=10, pad=6 + 14 * -(-len(named) // n_columns))


def _draw_series(axes: "Axes", series: Series) -> "Artist | BarContainer":
    if isinstance(series, Band):
        return axes.fill_between(
            series.x, series.low, series.high, color=series.colour, alpha=series.opacity, linewidth=0
        )
    if isinstance(series, Bars):
        rim = 0.6 if series.starts else 0
        return axes.barh(series.rows, series.lengths, 0.7, series.starts or 0, color=series.colour, ec="white", lw=rim)
    rim = 0.6 if series.size > 6 else 0
    (line,) = axes.plot(
        np.array(series.x, float), np.array(series.y, float), color=series.colour, alpha=series.opacity,
        ls=DASHES[series.dash] if series.width else "", lw=series.width * POINTS_PER_PIXEL,
        drawstyle="steps-post" if series.steps else "default", marker=SYMBOLS[series.symbol] if series.size else "",
        ms=series.size * POINTS_PER_PIXEL, mec="white" if rim else series.colour, mew=rim,
    )  # fmt: skip
    return line


def _label_bars(axes: "Axes", bars: Bars) -> None:
    """Labels inside the bars that are long enough for them."""
    if not axes.dataLim.width:  # no bar has a length
        return
    letters_per_unit = LETTERS_PER_LINE / axes.dataLim.width
    for row, start, length, label in zip(bars.rows, bars.starts, bars.lengths, bars.labels, strict=False):
        if len(label) < length * letters_per_unit:
            axes.text(start + length / 2, row, label, ha="center", va="center", color="white", fontsize=8)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"

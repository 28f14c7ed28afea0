"""A figure as plotly.js draws it in a page, which sets the colours of text and grid for light and dark screens."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from vgsearch.charts.figure import MUTED, Band, Bars, Figure, Note, Numbers, Series


def plotly_json(figure: Figure) -> dict[str, Any]:
    """Data and layout as JSON values for Plotly.newPlot; the title is the page's to write."""
    margins = {"l": 48, "r": 12, "t": 30, "b": 44} if figure.has_axes else {"l": 20, "r": 70, "t": 8, "b": 8}
    layout: dict[str, Any] = {
        "height": figure.height, "margin": margins,
        "font": {"size": 13}, "showlegend": True, "hovermode": "closest", "barmode": "overlay", "bargap": 0.3,
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": {**_axis(figure, figure.x_range), "title": {"text": escape(figure.x_title), "standoff": 8, "font": {"size": 13}}},
        "yaxis": _axis(figure, figure.y_range), "annotations": [_annotation(note) for note in figure.notes],
    }  # fmt: skip
    if figure.x_tick is not None:
        layout["xaxis"]["dtick"] = figure.x_tick
    if figure.rows:
        names, n = [escape(name) for name in figure.rows], len(figure.rows)
        layout["yaxis"] |= {"tickvals": list(range(n)), "ticktext": names, "range": [n - 0.5, -0.5]}
    return {"data": [_trace(series) for series in figure.series], "layout": layout}


def _axis(figure: Figure, ends: tuple[float, float] | None) -> dict[str, Any]:
    axis: dict[str, Any] = {"zeroline": False, "automargin": True, "visible": figure.has_axes}
    return axis if ends is None else axis | {"range": list(ends)}


def _trace(series: Series) -> dict[str, Any]:
    if isinstance(series, Band):
        return {
            "x": [*series.x, *series.x[::-1]], "y": _finite([*series.low, *series.high[::-1]]), "fill": "toself", "mode": "lines",
            "line": {"width": 0, "color": series.colour}, "opacity": series.opacity, "hoverinfo": "skip", "showlegend": False,
        }  # fmt: skip
    trace = {"name": escape(series.name), "showlegend": bool(series.name), **_hover(series.hover)}
    if isinstance(series, Bars):
        return trace | {
            "type": "bar", "orientation": "h", "x": _finite(series.lengths), "y": [*series.rows], "base": [*series.starts],
            "marker": {"color": series.colour, "line": {"width": int(bool(series.starts)), "color": "#ffffff"}},
            "text": [escape(label) for label in series.labels], "textposition": "inside", "insidetextanchor": "middle",
            "textangle": 0,
        }  # fmt: skip
    shape = "hv" if series.steps else "linear"
    return trace | {
        "x": _finite(series.x), "y": _finite(series.y), "opacity": series.opacity, "connectgaps": False,
        "mode": "+".join(["lines"] * (series.width > 0) + ["markers"] * (series.size > 0)),
        "line": {"color": series.colour, "width": series.width, "dash": series.dash, "shape": shape},
        "marker": {"color": series.colour, "size": series.size, "symbol": series.symbol,
                   "line": {"width": int(series.size > 6), "color": "#ffffff"}},
    }  # fmt: skip


def _hover(texts: Sequence[str]) -> dict[str, Any]:
    if not texts:
        return {"hoverinfo": "skip"}
    return {"hovertext": [escape(text) for text in texts], "hovertemplate": "%{hovertext}<extra></extra>"}


def _annotation(note: Note) -> dict[str, Any]:
    text = f"<b>{escape(note.text)}</b>" if note.bold else escape(note.text)
    font = {} if note.bold else {"font": {"size": 11, "color": MUTED}}
    return {"x": note.x, "y": note.y, "text": text, "showarrow": False, "xanchor": note.align, "textangle": -note.angle,
            "yanchor": "bottom" if note.above else "middle", **font}  # fmt: skip


def _finite(numbers: Numbers) -> list[float | None]:
    """JSON has no NaN; plotly leaves a gap at null."""
    return [None if number is None or not math.isfinite(number) else number for number in numbers]

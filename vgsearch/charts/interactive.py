"""A figure for plotly.js; the page sets the colours of text and grid for light and dark screens."""

import math
from html import escape
from typing import Any

from vgsearch.charts.figure import MUTED, Band, Bars, Figure, Note, Numbers, Series
from videogan.printable import printable


def _safe(text: str) -> str:
    """Text that plotly draws as it is: it reads tags."""
    return escape(printable(text))


def plotly_json(figure: Figure) -> dict[str, Any]:
    """Data and layout as JSON values for Plotly.newPlot; the page writes the title itself."""
    x: dict[str, Any] = {"zeroline": False, "automargin": True, "range": figure.x_shown}
    y = {**x, "range": figure.y_shown}
    x |= {"title": {"text": _safe(figure.x_title), "standoff": 8, "font": {"size": 13}}, "dtick": figure.x_tick}
    for axis, names in ((y, figure.rows), (x, figure.columns)):
        axis |= {"tickvals": [*range(len(names))], "ticktext": [*map(_safe, names)]} if names else {}
    if figure.x_ticks:
        x |= {
            "tickvals": [place for place, _ in figure.x_ticks],
            "ticktext": [_safe(text) for _, text in figure.x_ticks],
            "tickangle": 0,
        }
    y |= {"range": [len(figure.rows) - 0.5, -0.5]} if figure.rows else {"visible": not figure.columns}
    top = 30 if any(series.name for series in figure.series) else 8
    margin = {"l": 48, "r": 12, "t": top, "b": 44 if figure.x_title else 28}
    layout = {
        "height": figure.height, "margin": margin, "font": {"size": 13}, "xaxis": x, "yaxis": y,
        "showlegend": True, "hovermode": "closest", "barmode": "overlay", "bargap": 0.3,
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "annotations": [*map(_annotation, figure.notes)],
    }  # fmt: skip
    return {"data": [_trace(series) for series in figure.series], "layout": layout}


def _trace(series: Series) -> dict[str, Any]:
    trace: dict[str, Any] = {"name": _safe(series.name), "showlegend": bool(series.name), "hoverinfo": "skip"}
    if isinstance(series, Band):
        line = {"width": 0, "color": series.colour}
        return trace | {"x": [*series.x, *series.x[::-1]], "y": _finite([*series.low, *series.high[::-1]]), "fill": "toself",
                        "mode": "lines", "line": line, "opacity": series.opacity}  # fmt: skip
    if series.hover:
        trace |= {"hovertext": [*map(_safe, series.hover)], "hovertemplate": "%{hovertext}<extra></extra>"}
    if isinstance(series, Bars):
        rim = {"width": int(bool(series.starts)), "color": "#ffffff"}
        return trace | {
            "type": "bar", "orientation": "h", "x": _finite(series.lengths), "y": [*series.rows], "base": [*series.starts],
            "marker": {"color": series.colour, "line": rim}, "text": [*map(_safe, series.labels)], "textposition": "inside",
            "insidetextanchor": "middle", "textangle": 0,
        }  # fmt: skip
    marker = {"color": series.colour, "size": series.size, "symbol": series.symbol}
    shape = "hv" if series.steps else "linear"
    return trace | {
        "x": _finite(series.x), "y": _finite(series.y), "opacity": series.opacity, "connectgaps": False,
        "mode": "+".join(["lines"] * (series.width > 0) + ["markers"] * (series.size > 0)),
        "line": {"color": series.colour, "width": series.width, "dash": series.dash, "shape": shape},
        "marker": {**marker, "line": {"width": int(series.size > 6), "color": "#ffffff"}},
    }  # fmt: skip


def _annotation(note: Note) -> dict[str, Any]:
    return {"x": note.x, "y": note.y, "text": _safe(note.text), "showarrow": False, "font": {"size": 11, "color": MUTED},
            "xanchor": note.align, "yanchor": "bottom" if note.above else "middle"}  # fmt: skip


def _finite(numbers: Numbers) -> list[float | None]:
    """JSON has no NaN; plotly leaves a gap at null."""
    return [None if number is None or not math.isfinite(number) else number for number in numbers]

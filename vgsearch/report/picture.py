"""A plotly figure as a PNG, drawn with Pillow: no browser, no further package. Lines, markers, bars, text."""

import math
from collections.abc import Callable, Sequence
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image, ImageColor, ImageDraw, ImageFont

SIZE, SCALE = (820, 420), 2  # points; pixels a point
INK, GREY, PALE = "#1d2430", "#5b6472", "#e3e7ec"
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 18, 62, 52


def write_picture(figure: Any, path: Path) -> None:
    """Draws what `figures` makes into a PNG of 1640 x 840 pixels."""
    image = Image.new("RGB", tuple(SCALE * length for length in SIZE), "white")
    draw = ImageDraw.Draw(image, "RGBA")
    names = [name for trace in figure.data for name in (trace.y or ()) if isinstance(name, str)]
    categories = list(dict.fromkeys(names))
    left = max([_LEFT, *(round(_font(12).getlength(name)) // SCALE + 22 for name in categories)])
    frame = (left, _TOP, SIZE[0] - _RIGHT, SIZE[1] - _BOTTOM)
    x_ends, y_ends = _ends(figure, "x"), (-0.6, len(categories) - 0.4) if categories else _ends(figure, "y")

    def at(x: float, y: float) -> tuple[float, float]:
        across, up = (x - x_ends[0]) / (x_ends[1] - x_ends[0]), (y - y_ends[0]) / (y_ends[1] - y_ends[0])
        return (
            SCALE * (frame[0] + across * (frame[2] - frame[0])),
            SCALE * (frame[3] - up * (frame[3] - frame[1])),
        )

    _axes(draw, figure, at, (x_ends, y_ends), categories)
    for trace in figure.data:
        (_bars if trace.type == "bar" else _scatter)(draw, trace, at, categories)
    for note in figure.layout.annotations:
        anchor = {"right": "rs", "left": "ls"}.get(note.xanchor, "ms")
        draw.text(at(note.x, note.y), _plain(note.text), GREY, _font(11), anchor=anchor)
    draw.text((SCALE * 12, SCALE * 10), _plain(figure.layout.title.text or ""), INK, _font(14))
    _legend(draw, figure)
    image.save(path, optimize=True)


Place = Callable[[float, float], tuple[float, float]]


def _ends(figure: Any, axis: str) -> tuple[float, float]:
    """The range that is set, else that of the values with a margin."""
    fixed = getattr(figure.layout, f"{axis}axis").range
    if fixed:
        return tuple(fixed)
    values = [v for trace in figure.data for v in (getattr(trace, axis) or ()) if _is_number(v)]
    # Bars begin at nothing.
    values += [0.0] if axis == "x" and any(trace.type == "bar" for trace in figure.data) else []
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.04 * (high - low) or 0.5 * abs(high) or 0.5
    return low - (0 if low == 0 and axis == "x" else margin), high + margin


def _axes(draw: ImageDraw.ImageDraw, figure: Any, at: Place, ends: Sequence[Any], categories: Sequence[str]) -> None:
    (x_low, x_high), (y_low, y_high) = ends
    for x in _ticks(x_low, x_high):
        draw.line((*at(x, y_low), *at(x, y_high)), PALE, SCALE)
        across, down = at(x, y_low)
        draw.text((across, down + 6 * SCALE), f"{x:.6g}", GREY, _font(12), anchor="ma")
    for y in [] if categories else _ticks(y_low, y_high):
        draw.line((*at(x_low, y), *at(x_high, y)), PALE, SCALE)
        across, down = at(x_low, y)
        draw.text((across - 8 * SCALE, down), f"{y:.6g}", GREY, _font(12), anchor="rm")
    for row, name in enumerate(categories):
        across, down = at(x_low, row)
        draw.text((across - 8 * SCALE, down), _plain(name), GREY, _font(12), anchor="rm")
    middle = sum(at(x, y_low)[0] for x in (x_low, x_high)) / 2
    title = _plain(figure.layout.xaxis.title.text or "")
    draw.text((middle, SCALE * (SIZE[1] - 22)), title, INK, _font(13), anchor="ma")


def _ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round values between the ends, 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step)
    return [step * number for number in range(first, math.floor(high / step) + 1)]


def _scatter(draw: ImageDraw.ImageDraw, trace: Any, at: Place, categories: Sequence[str]) -> None:
    rows = [categories.index(y) if isinstance(y, str) else y for y in trace.y or ()]
    points = [at(x, y) if _is_number(x) and _is_number(y) else None for x, y in zip(trace.x or (), rows, strict=True)]
    colour = _colour(trace.line.color or trace.marker.color, trace.opacity)
    if trace.fill == "toself":
        corners = [point for point in points if point]
        if len(corners) > 2:
            draw.polygon(corners, colour)
        return
    if "lines" in (trace.mode or ""):
        width = max(1, round(SCALE * (trace.line.width or 2)))
        for begin, end in pairwise(points):
            if begin and end:
                corner = [(end[0], begin[1])] if trace.line.shape == "hv" else []
                _line(draw, [begin, *corner, end], colour, width, dashed=bool(trace.line.dash))
    if "markers" in (trace.mode or ""):
        size = SCALE * (trace.marker.size or 6) / 2
        for point in filter(None, points):
            _marker(
                draw, point, size, _colour(trace.marker.color or trace.line.color, trace.opacity), trace.marker.symbol
            )


def _line(draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], colour: Any, width: int, dashed: bool) -> None:
    if not dashed:
        draw.line(points, colour, width, joint="curve")
        return
    (x0, y0), (x1, y1) = points[0], points[-1]
    n = max(1, round(math.dist(points[0], points[-1]) / (9 * SCALE)))
    for piece in range(n):
        begin, end = piece / n, (piece + 0.55) / n
        draw.line(
            (x0 + (x1 - x0) * begin, y0 + (y1 - y0) * begin, x0 + (x1 - x0) * end, y0 + (y1 - y0) * end), colour, width
        )


def _marker(
    draw: ImageDraw.ImageDraw, centre: tuple[float, float], size: float, colour: Any, symbol: str | None
) -> None:
    x, y = centre
    if symbol == "diamond":
        draw.polygon(
            [(x, y - 1.3 * size), (x + 1.3 * size, y), (x, y + 1.3 * size), (x - 1.3 * size, y)], colour, "white"
        )
    elif symbol == "x":
        draw.line((x - size, y - size, x + size, y + size), colour, 2 * SCALE)
        draw.line((x - size, y + size, x + size, y - size), colour, 2 * SCALE)
    else:
        draw.ellipse((x - size, y - size, x + size, y + size), colour, "white")


def _bars(draw: ImageDraw.ImageDraw, trace: Any, at: Place, categories: Sequence[str]) -> None:
    for length, name in zip(trace.x, trace.y, strict=True):
        row = categories.index(str(name))
        left, top = at(0, row + 0.33)
        right, bottom = at(length, row - 0.33)
        draw.rectangle((left, top, right, bottom), _colour(trace.marker.color, 1))


def _legend(draw: ImageDraw.ImageDraw, figure: Any) -> None:
    x, y, font = SCALE * 14, SCALE * 40, _font(12)
    for trace in figure.data:
        if trace.showlegend is False or not trace.name:
            continue
        colour = _colour((trace.line.color if trace.type != "bar" else None) or trace.marker.color, 1)
        draw.rectangle((x, y, x + 12 * SCALE, y + 9 * SCALE), colour)
        name = _plain(trace.name)
        draw.text((x + 18 * SCALE, y + 4.5 * SCALE), name, INK, font, anchor="lm")
        x += 18 * SCALE + round(font.getlength(name)) + 18 * SCALE


def _colour(name: str | None, opacity: float | None) -> tuple[int, int, int, int]:
    return *ImageColor.getrgb(name or GREY)[:3], round(255 * (1 if opacity is None else opacity))


def _plain(text: str) -> str:
    """What plotly takes as HTML, as text."""
    return unescape(text.replace("<b>", "").replace("</b>", ""))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * SCALE)

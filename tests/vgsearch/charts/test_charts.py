"""The PNG and the interactive chart show what the figure describes; image grids hold images pixel for pixel."""

import io
import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from vgsearch.charts.figure import Band, Bars, Figure, Note, Points
from vgsearch.charts.image_grid import ImageRow, image_grid
from vgsearch.charts.interactive import plotly_json
from vgsearch.charts.png import png

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def array(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def count(figure: Figure, colour: tuple[int, int, int]) -> int:
    """Pixels of exactly this colour in the PNG."""
    return int((array(png([figure])) == colour).all(-1).sum())


def figure(*series: object, **options: object) -> Figure:
    return Figure("y", "x", list(series), **options)


def test_bars_without_any_length_are_drawn_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert array(png([figure(Bars([0], [0.0], "#ff0000", "running", [0.0], ["t0000"]), rows=["lane 1"])])).size


def test_a_line_is_drawn_in_its_colour_and_never_across_a_gap():
    x, whole, gap, nan = [0, 1, 2], [0, 1, 2], [0, None, 2], [0, math.nan, 2]
    assert count(figure(Points(x, whole, "#ff0000", width=2)), RED) > 500
    for y in (gap, nan):
        assert count(figure(Points(x, y, "#ff0000", width=2)), RED) == 0
        assert plotly_json(figure(Points(x, y, "#ff0000", width=2)))["data"][0]["y"] == [0, None, 2]


def test_a_marker_is_drawn_for_each_finite_point_in_its_size():
    one, two = ([count(figure(Points([1, 2], [1, y], "#00ff00", size=20), x_range=(0, 3), y_range=(0, 3)), GREEN)
                 for y in (math.nan, 2)])  # fmt: skip
    diameter = 20 * 2.5 - 2  # 2.5 pixels of the PNG per pixel of a page; the white rim takes 2
    assert one == pytest.approx(math.pi * diameter**2 / 4, rel=0.06)
    assert two == pytest.approx(2 * one, rel=0.02)


def test_a_line_of_steps_holds_each_value_until_the_next_x():
    red = (array(png([figure(Points([0, 1], [0, 1], "#ff0000", width=3, steps=True))])) == RED).all(-1)
    rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
    assert red[rows[-1] - 2, columns[0] + 5 : columns[-1] - 5].all(), "along the bottom"
    assert red[rows[0] + 5 : rows[-1] - 5, columns[-1] - 2].all(), "up the right side"


def test_bars_are_as_long_as_their_values_and_the_first_row_is_on_top():
    chart = figure(Bars([0, 1], [3, 1], "#0000ff"), rows=["a", "b"])
    blue = (array(png([chart])) == BLUE).all(-1)
    lengths = blue.sum(1)[blue.any(1)]
    assert lengths[5] == pytest.approx(3 * lengths[-5], rel=0.01)
    axis = plotly_json(chart)["layout"]["yaxis"]
    assert axis["ticktext"] == ["a", "b"]
    assert axis["range"][0] > axis["range"][1]


def test_a_band_fills_the_area_between_its_lines():
    low, high = [0, 0], [1, 1]
    assert count(figure(Band([0, 1], low, high, "#0000ff", opacity=1), y_range=(0, 2)), BLUE) > 100_000
    assert plotly_json(figure(Band([0, 1], low, high, "#0000ff")))["data"][0]["y"] == [0, 0, 1, 1]


@pytest.mark.parametrize(("name", "listed"), [("one", True), ("_two", True), ("", False)])
def test_a_named_series_is_in_the_legend_even_if_its_name_starts_with_an_underscore(name, listed):
    chart = figure(Points([0, 1], [None, None], "#ff0000", name, width=3), Points([0, 1], [0, 1], "#0000ff", "other"))
    assert plotly_json(chart)["data"][0]["showlegend"] == listed
    assert (count(chart, RED) > 100) == listed, "nothing is drawn but the line in the legend"


def test_text_is_drawn_as_it_is_and_never_as_markup_or_mathematics():
    evil = "$x_1^2$ <b>bold</b> &amp;"
    chart = figure(Points([0], [0], "#0000ff", evil, size=5, hover=[evil]), notes=[Note(0, 0, evil)])
    values = plotly_json(chart)
    shown = "$x_1^2$ &lt;b&gt;bold&lt;/b&gt; &amp;amp;"
    assert (
        values["data"][0]["name"]
        == values["data"][0]["hovertext"][0]
        == values["layout"]["annotations"][0]["text"]
        == shown
    )
    png([figure(Points([0], [0], "#0000ff", "$\\frac{", size=5), notes=[Note(0, 0, "a $ b _ $")], rows=["$\\x$"])])


def test_letters_that_the_font_lacks_and_very_long_names_are_drawn_without_a_warning():
    names = ["走る" * 5, "long " * 100]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = array(png([figure(*(Bars([at], [1], "#0000ff", name) for at, name in enumerate(names)), rows=names)]))
        image_grid([ImageRow(names, [np.zeros((64, 64, 3), np.uint8)])], [""], side=64, left=190, gap=2)
    assert (pixels == BLUE).all(-1).sum() > 10_000
    assert (pixels[:, -4:] == 255).all(), "nothing reaches the edge"


def test_figures_are_below_each_other_in_one_png():
    one, other = figure(Points([0, 1], [0, 1], "#ff0000", width=3)), figure(Points([0, 1], [0, 1], "#0000ff", width=3))
    pixels = array(png([one, other]))
    assert pixels.shape == (2 * 825, 1640, 3)
    assert (pixels[:825] == RED).all(-1).any()
    assert (pixels[825:] == BLUE).all(-1).any()


def test_a_grid_holds_each_image_pixel_for_pixel_at_its_place_and_text_stays_beside_it():
    images = [np.random.default_rng(seed).integers(256, size=(40, 30, 3), dtype=np.uint8) for seed in range(4)]
    rows = [ImageRow(["a very long name " * 9], images[:2], ["one", "two"]), ImageRow(["b"], images[2:])]
    pixels = array(image_grid(rows, ["first", "second"], side=40, left=100, gap=10))
    assert pixels.shape == (36 + 2 * (40 + 10 + 18), 100 + 2 * 50, 3)
    for at, image in enumerate(images):
        top, left = 36 + at // 2 * 68, 100 + at % 2 * 50 + 5
        assert (pixels[top : top + 40, left : left + 30] == image).all()
    assert (pixels[36:76, 97:105] == 255).all()


def test_matplotlib_is_loaded_with_the_first_chart_only():
    code = (
        "import sys, vgsearch.charts.png, vgsearch.charts.image_grid, vgsearch.charts.interactive; print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"matplotlib", "plotly"} & set(loaded)


def test_values_that_hardly_differ_do_not_fill_the_axis_and_others_leave_it_to_the_library():
    for y, (low, high) in (([200.0], (180, 220)), ([0.7, 0.7001], (0.63, 0.77)), ([0.0], (-1, 1))):
        chart = figure(Points(range(len(y)), y, "#ff0000", size=9))
        assert chart.y_shown == pytest.approx((low, high), abs=0.001)
        assert plotly_json(chart)["layout"]["yaxis"]["range"] == chart.y_shown
    assert figure(Points([0, 1], [0.3, 0.7], "#ff0000")).y_shown is None
    assert figure(Points([0], [math.nan], "#ff0000")).y_shown is None
    assert figure(Points([0], [0.7], "#ff0000"), y_range=(0, 1)).y_shown == (0, 1)

"""What charts draw, and that their PNG draws the same."""

import math

import plotly.graph_objects as go
import pytest
from PIL import Image

from vgsearch.experiment.objective import Objective
from vgsearch.report import figures
from vgsearch.report.clock import SweepClock
from vgsearch.report.picture import write_picture
from vgsearch.runtime.sweep.reporting import subject_of

DONE, PRUNED, FAILED = ("done", ""), ("pruned", ""), ("failed", "KeyError")


def trace(figure: go.Figure, name: str) -> go.Scatter:
    return next(trace for trace in figure.data if trace.name == name)


@pytest.mark.parametrize("objective", ["s3", "-kvd"])
def test_the_best_so_far_never_gets_worse_and_ends_at_the_best(write_sweep, objective):
    subject = subject_of(write_sweep("s", 20, ends=[DONE, PRUNED], objective=objective).folder)
    for figure in (figures.against_clock(subject, SweepClock(subject.record)), figures.against_steps(subject)):
        losses = [subject.objective.loss({subject.objective.name: y}) for y in trace(figure, "best so far").y]
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] == subject.objective.loss(subject.record.best.scores)


def test_the_front_is_beaten_by_no_trial_in_both_score_and_cost(write_sweep):
    subject = subject_of(write_sweep("s", 20).folder)
    front = trace(figures.pareto(subject), "Pareto front")
    for trial in subject.scored:
        better = [
            y >= trial.scores["s3"] for x, y in zip(front.x, front.y, strict=True) if 60 * x <= trial.scores["cost"]
        ]
        assert any(better)


def test_every_trial_is_on_the_timeline_and_no_two_share_a_lane_at_once(write_sweep):
    subject = subject_of(write_sweep("s", 12, ends=[DONE, PRUNED, FAILED]).folder)
    for trial in list(subject.record.trials.values())[::2]:
        trial.attempts = [(start - 100, end + 100) for start, end in trial.attempts]
    figure = figures.timeline(subject.record, SweepClock(subject.record))
    bars = [(lane, base, base + x) for t in figure.data for lane, base, x in zip(t.y, t.base, t.x, strict=True)]
    assert len(bars) == 12
    assert len({lane for lane, _, _ in bars}) > 1
    for at, (lane, begin, end) in enumerate(bars):
        for other_lane, other_begin, other_end in bars[:at]:
            assert lane != other_lane or begin >= other_end - 0.01 or end <= other_begin + 0.01


def test_lines_of_equal_s3_are_that(write_sweep):
    subject = subject_of(write_sweep("s", 4).folder)
    rer = subject.scored[0].score.interval("rer").mean
    lines = [t for t in figures.ser_res(subject).data if t.mode == "lines"]
    told = {round(math.sqrt(x * y) / (100 * rer), 6) for t in lines for x, y in zip(t.x, t.y, strict=True)}
    assert told == {0.2, 0.4, 0.6, 0.8, 1.0}


def test_a_line_of_the_parallel_coordinates_has_a_gap_where_nothing_was_searched(write_sweep):
    subject = subject_of(write_sweep("s", 12).folder)
    figure = figures.parallel_coordinates(subject)
    drawn = [y for t in figure.data if t.text for x, y in zip(t.x, t.y, strict=True) if x is not None]
    n_paths = len({path for trial in subject.scored for path in trial.overrides})
    assert len(drawn) == 12 * (n_paths + 1)
    missing = sum(n_paths - len(trial.overrides) for trial in subject.scored)
    assert sum(y is None for y in drawn) == missing > 0
    assert all(0 <= y <= 1 for y in drawn if y is not None)


def pixels(figure: go.Figure, path) -> dict[tuple[int, int, int], int]:
    write_picture(figure, path)
    with Image.open(path) as image:
        return {colour: n for n, colour in image.convert("RGB").getcolors(1 << 24)}


def test_a_picture_draws_lines_dots_and_bars_in_their_colours_and_no_line_over_a_gap(tmp_path):
    whole, gap = go.Figure(), go.Figure()
    for figure, y in ((whole, [0, 1, 2]), (gap, [0, None, 2])):
        figure.add_scatter(x=[0, 1, 2], y=y, mode="lines", line={"color": "#ff0000", "width": 2})
    assert pixels(whole, tmp_path / "a.png").get((255, 0, 0), 0) > 500
    assert (255, 0, 0) not in pixels(gap, tmp_path / "b.png")
    bars = go.Figure().add_bar(x=[3, 1], y=["a", "b"], orientation="h", marker={"color": "#0000ff"})
    dots = go.Figure().add_scatter(x=[1, 2], y=[1, math.nan], mode="markers", marker={"color": "#00ff00", "size": 20})
    assert pixels(bars, tmp_path / "c.png")[0, 0, 255] > 50_000
    one = pixels(dots, tmp_path / "d.png")[0, 255, 0]
    assert one == pytest.approx(math.pi * 20**2, rel=0.1), "one dot of two: the other is no number"


def test_every_chart_of_a_report_can_be_a_picture_even_of_one_trial(write_sweep, tmp_path):
    subject = subject_of(write_sweep("s", 1).folder)
    clock = SweepClock(subject.record)
    curve = {"one": subject.expected()}
    drawn = [figures.against_clock(subject, clock), figures.against_steps(subject), figures.looks(subject.record),
             figures.pareto(subject), figures.ser_res(subject), figures.expected_best_chart(curve, Objective("s3")),
             figures.importance_bars({"model.sigma_a": 1.0}), figures.all_scores({"one": subject})]  # fmt: skip
    for number, figure in enumerate(drawn):
        write_picture(figure, tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").stat().st_size > 3000

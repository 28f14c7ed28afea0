"""The charts of a report show the right values."""

import math

import plotly.graph_objects as go
import pytest

from vgsearch.charts.figure import Bars, Figure, Points
from vgsearch.charts.interactive import plotly_json
from vgsearch.charts.png import png
from vgsearch.experiment.objective import Objective
from vgsearch.report import figures
from vgsearch.report.clock import SweepClock
from vgsearch.runtime.sweep.reporting import subject_of

DONE, PRUNED, FAILED = ("done", ""), ("pruned", ""), ("failed", "KeyError")


def line(figure: Figure, name: str) -> Points:
    return next(series for series in figure.series if isinstance(series, Points) and series.name == name)


@pytest.mark.parametrize("objective", ["s3", "-kvd"])
def test_the_best_so_far_never_gets_worse_and_ends_at_the_best(write_sweep, objective):
    subject = subject_of(write_sweep("s", 20, ends=[DONE, PRUNED], objective=objective).folder)
    for figure in (figures.against_clock(subject, SweepClock(subject.record)), figures.against_steps(subject)):
        losses = [subject.objective.loss({subject.objective.name: y}) for y in line(figure, "best so far").y]
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] == subject.objective.loss(subject.record.best.scores)


def test_no_trial_beats_the_pareto_front_in_both_score_and_cost(write_sweep):
    subject = subject_of(write_sweep("s", 20).folder)
    front = line(figures.pareto(subject), "Pareto front")
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
    bars = [(lane, start, start + length) for series in figure.series if isinstance(series, Bars)
            for lane, start, length in zip(series.rows, series.starts, series.lengths, strict=True)]  # fmt: skip
    assert len(bars) == 12
    assert len({lane for lane, _, _ in bars}) > 1
    for at, (lane, begin, end) in enumerate(bars):
        for other_lane, other_begin, other_end in bars[:at]:
            assert lane != other_lane or begin >= other_end - 0.01 or end <= other_begin + 0.01


def test_s3_is_constant_along_each_line_of_equal_s3(write_sweep):
    subject = subject_of(write_sweep("s", 4).folder)
    rer = subject.scored[0].score.interval("rer").mean
    lines = [series for series in figures.ser_res(subject).series if series.width]
    s3 = {round(math.sqrt(x * y) / (100 * rer), 6) for line in lines for x, y in zip(line.x, line.y, strict=True)}
    assert s3 == {0.2, 0.4, 0.6, 0.8, 1.0}


def test_every_trial_has_a_line_through_all_axes_and_stands_at_a_dash_where_a_value_was_not_searched(write_sweep):
    subject = subject_of(write_sweep("s", 12).folder)
    figure = figures.parallel_coordinates(subject)
    paths = figures.searched_paths(subject.scored)
    drawn = [(x, y) for of in figure.series for x, y in zip(of.x, of.y, strict=True) if x is not None]
    assert len(drawn) == 12 * (len(paths) + 1)
    dashes = {(note.x, note.y) for note in figure.notes if note.text == "-"}
    missing = sum(len(paths) - len(trial.overrides) for trial in subject.scored)
    assert sum(point in dashes for point in drawn) == missing > 0
    assert all(figure.y_range[0] < y < figure.y_range[1] for _, y in drawn)


def test_a_slice_shows_each_score_at_the_height_of_its_value_and_the_floor_below_all(write_sweep):
    subject = subject_of(write_sweep("s", 12).folder)
    domain, figure = subject.sweep.domains["optimiser.lr_g"], figures.slices(subject)["optimiser.lr_g"]
    floor, *dots = figure.series
    assert list(floor.y) == [subject.floor] * 2
    assert tuple(floor.x) == figure.x_range
    found = {y: x for of in dots for x, y in zip(of.x, of.y, strict=True)}
    assert len(found) == 12
    for trial in subject.scored:
        share = math.log(trial.overrides["optimiser.lr_g"] / domain.low) / math.log(domain.high / domain.low)
        assert found[trial.scores["s3"]] == pytest.approx(share)


@pytest.mark.parametrize("n_trials", [1, 30])
def test_every_chart_of_a_report_is_a_png_and_a_valid_plotly_figure_even_of_one_trial(write_sweep, n_trials):
    subject = subject_of(write_sweep("s", n_trials, ends=[DONE, PRUNED]).folder)
    clock, curve = SweepClock(subject.record), {"one": subject.expected()}
    drawn = [figures.against_clock(subject, clock), figures.against_steps(subject), figures.looks(subject.record),
             figures.pareto(subject), figures.ser_res(subject), figures.expected_best_chart(curve, Objective("s3")),
             figures.importance_bars({"model.sigma_a": 1.0}), figures.all_scores({"one": subject}),
             figures.best_over_time([subject]), figures.parallel_coordinates(subject),
             figures.timeline(subject.record, clock), *figures.slices(subject).values()]  # fmt: skip
    for figure in drawn:
        go.Figure(plotly_json(figure))  # raises for an unknown key or a wrong value
        assert len(png([figure])) > 3000

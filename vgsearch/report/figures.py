"""The charts of a report."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from itertools import accumulate, cycle, pairwise

from vgsearch.charts.figure import MUTED, Band, Bars, Figure, Note, Points, Series
from vgsearch.experiment.end import KILLED
from vgsearch.experiment.ledger import SweepRecord, TrialRecord
from vgsearch.experiment.objective import COST, LABELS, Objective, looks_at_distance, pareto_front
from vgsearch.experiment.paths import short_id
from vgsearch.report.clock import SweepClock
from vgsearch.report.expected_best import ExpectedBest
from vgsearch.report.experiment_data import ExperimentData
from vgsearch.report.value_axis import value_axis
from vgsearch.terminal.sweep_table import objective_value
from vgsearch.terminal.words import duration, short_name, value

# The palette of Okabe and Ito, distinct for the colour-blind and on white and black alike.
STATE_COLOURS = {
    "done": "#0090d0", "running": "#56b4e9", "pruned": "#8a8f98", "diverged": "#d55e00", "interrupted": "#e69f00",
    KILLED: "#e69f00", "unscored": "#cc79a7",
}  # fmt: skip
OTHER_STATE, BEST = "#c0392b", "#009e73"
SERIES = ("#0090d0", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8f98")
SCALE = ("#8f3b76", "#7161a6", "#4b82b8", "#3b9fa5", "#5cb77f", "#b9c24a")  # from poor to good


def label(objective: Objective) -> str:
    """The objective's name, with "(smaller is better)" where that is not obvious."""
    name = LABELS[objective.name]
    return name if objective.direction == "maximize" else f"{name} (smaller is better)"


def against_clock(subject: ExperimentData, clock: SweepClock) -> Figure:
    """Each score at the time its trial ended, the best so far, the untrained generator."""
    trials = sorted(subject.scored, key=_end)
    return _over_time(subject, [clock.ran(_end(trial)) for trial in trials], trials, clock.unit, "time")


def against_steps(subject: ExperimentData) -> Figure:
    """As `against_clock`, over the sum of all trials' steps by then, including trials that stopped early."""
    scored = {trial.trial_id for trial in subject.scored}
    steps, x, trials = 0, [], []
    for trial in sorted(subject.record.trials.values(), key=_end):
        steps += trial.step
        if trial.trial_id in scored:
            x.append(steps)
            trials.append(trial)
    return _over_time(subject, x, trials, "generator steps of all trials", "steps")


def _over_time(
    subject: ExperimentData, x: Sequence[float], trials: Sequence[TrialRecord], x_title: str, over: str
) -> Figure:
    objective = subject.objective
    figure = Figure(f"{label(objective)} over {over}", x_title)
    figure.series += _staircase(x, _best_so_far(objective, trials), "best so far")
    figure.series += _dots(x, [objective.value_of(trial.scores) for trial in trials], trials, objective)
    figure.series += _floor(subject, (0, max(x, default=1)), "untrained generator")
    return figure


def looks(record: SweepRecord) -> Figure:
    """The looks of all trials by step, each trial one line in the colour of its state."""
    at_distance = looks_at_distance(record.objectives)
    title = "look: minus the kernel distance (larger is better)" if at_distance else "look: ReS, %"
    figure, scale, best = Figure(title, "generator step"), 1 if at_distance else 100, record.best
    for state in dict.fromkeys(trial.state for trial in record.trials.values()):
        trials = [t for t in record.trials.values() if t.state == state and t.looks and t is not best]
        if trials:
            figure.series.append(_curves(trials, scale, state, state_colour(state), 1.3, opacity=0.75))
    if best is not None and best.looks:
        figure.series.append(_curves([best], scale, f"best: {short_id(best.trial_id)}", BEST, 3))
    return figure


def state_colour(state: str) -> str:
    return STATE_COLOURS.get(state, OTHER_STATE)


def _curves(
    trials: Sequence[TrialRecord], scale: float, name: str, colour: str, width: float, opacity: float = 1
) -> Points:
    """Lines of many trials as one series, with a gap between one trial and the next."""
    x: list[float | None] = []
    y: list[float | None] = []
    hover = []
    for trial in trials:
        looks = [(step, scale * trial.looks[step]) for step in sorted(trial.looks)]
        x += [*(step for step, _ in looks), None]
        y += [*(look for _, look in looks), None]
        hover += [*(f"{short_id(trial.trial_id)}, step {step}: {look:.3g}" for step, look in looks), ""]
    return Points(x, y, colour, name, width=width, size=4, opacity=opacity, hover=hover)


def pareto(subject: ExperimentData) -> Figure:
    """The first objective against the training cost, and the trials that no other beats in both."""
    objective, cost = subject.objective, Objective(COST)
    trials = [trial for trial in subject.scored if COST in trial.scores]
    minutes = [trial.scores[COST] / 60 for trial in trials]
    y = [objective.value_of(trial.scores) for trial in trials]
    front = sorted((minutes[at], y[at]) for at in pareto_front([trial.scores for trial in trials], [objective, cost]))
    line = _staircase([x for x, _ in front], [y for _, y in front], "Pareto front")
    dots = _dots(minutes, y, trials, objective)
    return Figure(f"{label(objective)} against cost", "minutes of training steps", [*line, *dots])


def ser_res(subject: ExperimentData) -> Figure:
    """SeR (diversity) against ReS (realism), with lines of equal S3 and the point of guessing."""
    trials = [trial for trial in subject.scored if {"ser", "res"} <= set(trial.scores)]
    figure = Figure("SeR, %: sample-trained on real (diversity)",
                    "ReS, %: real-trained on samples (realism)", x_range=(0, 102), y_range=(0, 102))  # fmt: skip
    measured = trials[0].score.s3
    rer = 0.0 if measured is None or measured.rer is None else measured.rer.mean
    guessing = None if measured is None else measured.s3_of_guessing
    for s3 in (0.2, 0.4, 0.6, 0.8, 1.0) if rer > 0 else ():
        # SeR ReS = (S3 ReR)^2, from SeR = 1 to ReS = 1.
        product = (s3 * rer) ** 2
        if product < 1:
            res = [product ** (1 - at / 40) for at in range(41)]
            ser = [100 * product / share for share in res]
            figure.series.append(Points([100 * share for share in res], ser, MUTED, width=1, dash="dot"))
            figure.notes.append(Note(100, 100 * product, f"S3 {s3:.1f}", above=True))
    if rer > 0 and guessing:
        place = [100 * guessing * rer]
        figure.series.append(Points(place, place, MUTED, "guessing", size=10, symbol="x"))
    res, ser = ([100 * trial.scores[part] for trial in trials] for part in ("res", "ser"))
    figure.series += _dots(res, ser, trials, Objective("s3"))
    return figure


def parallel_coordinates(subject: ExperimentData) -> Figure:
    """One line for each done trial through its searched values, coloured by its score, which is the last axis."""
    objective, trials = subject.objective, subject.scored[::-1]
    axes = [(short_name(path), value_axis([trial.overrides.get(path) for trial in trials], subject.sweep.domains.get(path)))
            for path in searched_paths(trials)]  # fmt: skip
    axes.append((LABELS[objective.name], value_axis([objective.value_of(trial.scores) for trial in trials], None)))
    low = min(axis.low for _, axis in axes) - 0.06
    figure = Figure("", "", columns=[name for name, _ in axes], x_range=(-0.6, len(axes) - 0.7), y_range=(low, 1.06))
    figure.notes = [Note(x, place, text) for x, (_, axis) in enumerate(axes) for place, text in axis.ticks]
    bands = _bands(len(trials))
    for band, (first, last) in enumerate(bands):
        colour = SCALE[round(band * (len(SCALE) - 1) / max(len(bands) - 1, 1))]
        figure.series.append(_polylines(trials[first:last], [axis.places[first:last] for _, axis in axes], colour))
    return figure


def searched_paths(trials: Sequence[TrialRecord]) -> list[str]:
    """The values that some of the trials searched."""
    return list(dict.fromkeys(path for trial in trials for path in trial.overrides))


def slices(subject: ExperimentData) -> dict[str, Figure]:
    """For each searched value, by its path: the score of each done trial over it, and the untrained generator."""
    objective, trials = subject.objective, subject.scored
    scores = [objective.value_of(trial.scores) for trial in trials]
    found = {}
    for path in searched_paths(trials):
        axis = value_axis([trial.overrides.get(path) for trial in trials], subject.sweep.domains.get(path))
        span = (axis.low - 0.06, 1.06)
        dots = [dataclasses.replace(dots, name="") for dots in _dots(axis.places, scores, trials, objective)]
        figure = Figure(
            short_name(path), "", [*_floor(subject, span), *dots], x_range=span, x_ticks=axis.ticks, height=200
        )
        found[path] = figure
    return found


def _floor(subject: ExperimentData, span: tuple[float, float], name: str = "") -> list[Points]:
    """A dashed line at the score of the untrained generator, if that was measured."""
    if not math.isfinite(subject.floor):
        return []
    return [Points(span, [subject.floor] * 2, MUTED, name, width=1.5, dash="dash")]


def _polylines(trials: Sequence[TrialRecord], heights: Sequence[Sequence[float]], colour: str) -> Points:
    """A line for each trial through its height on each axis; `heights`: (axes, trials)."""
    x: list[float | None] = []
    y: list[float | None] = []
    hover: list[str] = []
    for row, trial in enumerate(trials):
        x += [*range(len(heights)), None]
        y += [*(of_axis[row] for of_axis in heights), None]
        chosen = ", ".join(f"{short_name(path)} {value(chosen)}" for path, chosen in trial.overrides.items())
        hover += [f"{short_id(trial.trial_id)}: {chosen}"] * (len(heights) + 1)
    return Points(x, y, colour, width=1.6, opacity=0.8, hover=hover)


def _bands(n: int) -> list[tuple[int, int]]:
    """`n` trials, poor to good, in as many groups as there are colours."""
    edges = [round(at * n / min(n, len(SCALE))) for at in range(min(n, len(SCALE)) + 1)]
    return [(first, last) for first, last in pairwise(edges) if first < last]


def importance_bars(shares: Mapping[str, float]) -> Figure:
    """Shares in percent, the largest on top."""
    names = [short_name(path) for path in sorted(shares, key=lambda path: -shares[path])]
    percents = sorted((100 * share for share in shares.values()), reverse=True)
    hover = [f"{name}: {percent:.0f} %" for name, percent in zip(names, percents, strict=True)]
    return Figure("", "importance, %", [Bars(range(len(names)), percents, SERIES[0], hover=hover)], rows=names)


def timeline(record: SweepRecord, clock: SweepClock) -> Figure:
    """When each trial ran, in as many lanes as trials ran in parallel; pauses of the sweep are left out."""
    attempts = [(start, max(end, start), trial) for trial in record.trials.values() for start, end in trial.attempts]
    lanes: list[float] = []  # the end of the last attempt in each
    bars: dict[str, list[tuple[float, float, int, str]]] = {}
    for start, end, trial in sorted(attempts, key=lambda attempt: attempt[0]):
        lane = next((at for at, free in enumerate(lanes) if free <= start + 0.5), len(lanes))
        lanes[lane : lane + 1] = [end]
        began, length = clock.ran(start), clock.ran(end) - clock.ran(start)
        bars.setdefault(trial.state, []).append((began, length, lane, short_id(trial.trial_id)))
    series: list[Series] = []
    for state, drawn in bars.items():
        starts, lengths, rows, names = (list(column) for column in zip(*drawn, strict=True))
        hover = [f"{name} {state}: {length:.3g} {clock.unit.split()[0]}" for _, length, _, name in drawn]
        labels = names if len(attempts) <= 40 else ()
        series.append(Bars(rows, lengths, state_colour(state), state, starts, labels, hover))
    lane_names = [f"lane {at + 1}" for at in range(len(lanes))]
    return Figure("trials in parallel", clock.unit, series, rows=lane_names, height=110 + 46 * len(lanes))


def expected_best_chart(curves: Mapping[str, ExpectedBest], objective: Objective) -> Figure:
    """The expected best score after n trials, with the 90 % interval of the draws, for each name."""
    few = max(len(curve.mean) for curve in curves.values()) <= 12
    figure = Figure(f"{label(objective)}, expected best", "trials", x_tick=1 if few else None)
    sign = -1 if objective.direction == "maximize" else 1
    for (name, curve), colour in zip(curves.items(), cycle(SERIES), strict=False):
        n = list(range(1, len(curve.mean) + 1))
        low, high, mean = ((sign * edge).tolist() for edge in (curve.low, curve.high, curve.mean))
        known = [at for at, bound in enumerate(low) if math.isfinite(bound)]
        x, low, high = ([of[at] for at in known] for of in (n, low, high))
        figure.series.append(Band(x, low, high, colour))
        hover = [f"after {after}: {best:.3g}" for after, best in zip(n, mean, strict=True)]
        figure.series.append(Points(n, mean, colour, name, width=2, size=5, hover=hover))
    return figure


def best_over_time(subjects: Sequence[ExperimentData]) -> Figure:
    """The best score so far of each experiment over the time that its sweep ran."""
    objective = subjects[0].objective
    figure = Figure(f"{label(objective)}, best so far", "hours of the sweep")
    for subject, colour in zip(subjects, cycle(SERIES), strict=False):
        clock, trials = SweepClock(subject.record), sorted(subject.scored, key=_end)
        hours, y = [clock.hours(_end(trial)) for trial in trials], _best_so_far(objective, trials)
        hover = [f"{subject.name} after {x:.3g} hours: {best:.3g}" for x, best in zip(hours, y, strict=True)]
        figure.series.append(Points(hours, y, colour, subject.name, width=2, size=5, steps=True, hover=hover))
    return figure


def all_scores(subjects: Mapping[str, ExperimentData]) -> Figure:
    """Every score of each experiment, a row each."""
    objective = next(iter(subjects.values())).objective
    figure = Figure("", label(objective), rows=list(subjects))
    for row, (subject, colour) in enumerate(zip(subjects.values(), cycle(SERIES), strict=False)):
        scores = [objective.value_of(trial.scores) for trial in subject.scored]
        hover = [f"{short_id(t.trial_id)}: {objective_value(objective, t.scores)}" for t in subject.scored]
        figure.series.append(Points(scores, [row] * len(scores), colour, size=10, opacity=0.6, hover=hover))
    return figure


def _end(trial: TrialRecord) -> float:
    return trial.attempts[-1][1]


def _best_so_far(objective: Objective, trials: Sequence[TrialRecord]) -> list[float]:
    best = min if objective.direction == "minimize" else max
    return list(accumulate((objective.value_of(trial.scores) for trial in trials), best))


def _staircase(x: Sequence[float], y: Sequence[float], name: str) -> list[Points]:
    """A step line; none for a single point, where it would be invisible."""
    return [Points(x, y, BEST, name, width=2, steps=True)] if len(x) > 1 else []


def _dots(x: Sequence[float], y: Sequence[float], trials: Sequence[TrialRecord], objective: Objective) -> list[Points]:
    """A dot for each trial; the paper's points are diamonds."""
    found = []
    for is_paper_point in (False, True):
        at = [row for row, trial in enumerate(trials) if trial.is_paper_point == is_paper_point]
        shown_x, shown_y = ([values[row] for row in at] for values in (x, y))
        scores = [objective_value(objective, trials[row].scores) for row in at]
        hover = [f"{short_id(trials[row].trial_id)}: {score}, {duration(trials[row].seconds)}"
                 for row, score in zip(at, scores, strict=True)]  # fmt: skip
        if at and is_paper_point:
            found.append(
                Points(shown_x, shown_y, SERIES[1], "the paper's point", size=11, symbol="diamond", hover=hover)
            )
        elif at:
            found.append(Points(shown_x, shown_y, SERIES[0], "done trials", size=9, hover=hover))
    return found

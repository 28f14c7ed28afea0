"""The charts of a report as plotly figures; colours of text and lines are the page's, light or dark."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

from vgsearch.experiment.ledger import SweepRecord, TrialRecord
from vgsearch.experiment.objective import COST, LABELS, OF_CLASSES, Objective, looks_at_distance, pareto_front
from vgsearch.experiment.paths import short_id
from vgsearch.report.clock import SweepClock
from vgsearch.report.expected_best import ExpectedBest
from vgsearch.report.experiment_data import ExperimentData
from vgsearch.terminal.sweep_table import objective_value
from vgsearch.terminal.words import duration, short_name, value

# Okabe and Ito's palette, told apart by the colour-blind and on white and black alike.
STATE_COLOURS = {
    "done": "#0090d0", "running": "#56b4e9", "pruned": "#8a8f98", "diverged": "#d55e00", "interrupted": "#e69f00",
    "unscored": "#cc79a7",
}  # fmt: skip
OTHER_END, BEST, MUTED = "#c0392b", "#009e73", "#8a8f98"
SERIES = ("#0090d0", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8f98")
SCALE = ("#8f3b76", "#7161a6", "#4b82b8", "#3b9fa5", "#5cb77f", "#b9c24a")  # from poor to good


def label(objective: Objective) -> str:
    """Its name, and where it is not obvious that less is better, so."""
    told = LABELS[objective.name]
    return told if objective.name in OF_CLASSES else f"{told} (smaller is better)"


def state_colour(state: str) -> str:
    return STATE_COLOURS.get(state, OTHER_END)


def against_clock(subject: ExperimentData, clock: SweepClock) -> go.Figure:
    """Each score at the time its trial ended, the best so far, the floor."""
    trials = sorted(subject.scored, key=_end)
    return _over_time(subject, [clock.ran(_end(trial)) for trial in trials], trials, clock.unit, "time")


def against_steps(subject: ExperimentData) -> go.Figure:
    """The same over the steps that all trials took until then, those that were given up among them."""
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
) -> go.Figure:
    objective = subject.objective
    y = [objective.value_of(trial.scores) for trial in trials]
    figure = _figure(x_title, f"{label(objective)} over {over}")
    best: list[float] = []
    for trial in trials:
        newest = objective.value_of(trial.scores)
        worse = best and objective.loss({objective.name: best[-1]}) <= objective.loss(trial.scores)
        best.append(best[-1] if worse else newest)
    figure.add_scatter(x=[*x], y=best, mode="lines", name="best so far", line={"color": BEST, "width": 2, "shape": "hv"},
                       hoverinfo="skip")  # fmt: skip
    _dots(figure, x, y, trials, objective, name="done trials")
    if x and math.isfinite(subject.floor):
        figure.add_scatter(x=[min(x), max(x)], y=[subject.floor] * 2, mode="lines", name="untrained generator",
                           line={"color": MUTED, "width": 1.5, "dash": "dash"}, hoverinfo="skip")  # fmt: skip
    return figure


def looks(record: SweepRecord) -> go.Figure:
    """The looks of all trials by step, each trial one line in the colour of its end."""
    at_distance = looks_at_distance(record.objectives)
    title = "look: minus the kernel distance (larger is better)" if at_distance else "look: ReS, %"
    figure, scale = _figure("generator step", title), 1 if at_distance else 100
    best = record.best
    for state in dict.fromkeys(trial.state for trial in record.trials.values()):
        trials = [t for t in record.trials.values() if t.state == state and t.looks and t is not best]
        if trials:
            _curves(figure, trials, scale, state, {"color": state_colour(state), "width": 1.3}, opacity=0.75)
    if best is not None and best.looks:
        _curves(figure, [best], scale, f"best: {short_id(best.trial_id)}", {"color": BEST, "width": 3})
    return figure


def _curves(
    figure: go.Figure, trials: Sequence[TrialRecord], scale: float, name: str, line: dict[str, Any], opacity: float = 1
) -> None:
    """Lines of many trials as one trace, with a gap between one trial and the next."""
    x, y, told = [], [], []
    for trial in trials:
        steps = sorted(trial.looks)
        x += [*steps, None]
        y += [*(_finite(scale * trial.looks[step]) for step in steps), None]
        told += [short_id(trial.trial_id)] * (len(steps) + 1)
    figure.add_scatter(x=x, y=y, mode="lines+markers", name=name, line=line, marker={"size": 4}, text=told,
                       opacity=opacity, connectgaps=False, hovertemplate="%{text}, step %{x}: %{y:.3g}<extra></extra>")  # fmt: skip


def pareto(subject: ExperimentData) -> go.Figure:
    """The first objective against what it cost, and the trials that no other beats in both."""
    objective, cost = subject.objective, Objective(COST)
    trials = [trial for trial in subject.scored if COST in trial.scores]
    figure = _figure("minutes of training steps", f"{label(objective)} against cost")
    minutes = [trial.scores[COST] / 60 for trial in trials]
    y = [objective.value_of(trial.scores) for trial in trials]
    front = sorted((minutes[at], y[at]) for at in pareto_front([trial.scores for trial in trials], [objective, cost]))
    figure.add_scatter(x=[x for x, _ in front], y=[y for _, y in front], mode="lines", name="Pareto front",
                       line={"color": BEST, "width": 2, "shape": "hv"}, hoverinfo="skip")  # fmt: skip
    _dots(figure, minutes, y, trials, objective, name="done trials")
    return figure


def ser_res(subject: ExperimentData) -> go.Figure:
    """SeR (diversity) against ReS (realism), with lines of equal S3 and what guessing scores."""
    trials = [trial for trial in subject.scored if {"ser", "res"} <= set(trial.scores)]
    figure = _figure(
        "ReS, %: real-trained classifier on samples (realism)", "SeR, %: sample-trained classifier on real (diversity)"
    )
    s3_score = trials[0].score.s3
    rer = 0.0 if s3_score is None or s3_score.rer is None else _finite(s3_score.rer.mean) or 0.0
    for s3 in (0.2, 0.4, 0.6, 0.8, 1.0) if rer else ():
        # SeR ReS = (S3 ReR)^2, from where SeR is 1 to where ReS is.
        product = (s3 * rer) ** 2
        inside = [(100 * res, 100 * product / res) for res in (product ** (1 - at / 40) for at in range(41))]
        if product < 1:
            figure.add_scatter(x=[x for x, _ in inside], y=[y for _, y in inside], mode="lines", showlegend=False,
                               hoverinfo="skip", line={"color": MUTED, "width": 1, "dash": "dot"})  # fmt: skip
            figure.add_annotation(x=100, y=100 * product, text=f"S3 {s3:.1f}", showarrow=False, xanchor="right", yanchor="bottom",
                                  font={"size": 11, "color": MUTED})  # fmt: skip
    if rer and s3_score is not None and s3_score.s3_of_guessing:
        guess = 100 * s3_score.s3_of_guessing * rer
        figure.add_scatter(x=[guess], y=[guess], mode="markers", name="guessing", hoverinfo="skip",
                           marker={"color": MUTED, "size": 10, "symbol": "x"})  # fmt: skip
    _dots(figure, [100 * t.scores["res"] for t in trials], [100 * t.scores["ser"] for t in trials], trials,
          Objective("s3"), name="done trials")  # fmt: skip
    figure.update_xaxes(range=[0, 102])
    figure.update_yaxes(range=[0, 102])
    return figure


def parallel_coordinates(subject: ExperimentData) -> go.Figure:
    """One line for each done trial through its searched values, in the colour of its score; scored last."""
    objective, trials = subject.objective, subject.scored[::-1]
    paths = list(dict.fromkeys(path for trial in trials for path in trial.overrides))
    axes = [(short_name(path), _axis([trial.overrides.get(path) for trial in trials])) for path in paths]
    scores = [objective.value_of(trial.scores) for trial in trials]
    axes.append((LABELS[objective.name], _axis(scores)))
    figure = _figure("", "")
    for place, (name, (_, ticks)) in enumerate(axes):
        figure.add_annotation(x=place, y=1.06, text=f"<b>{escape(name)}</b>", showarrow=False, yanchor="bottom",
                              textangle=-28, xanchor="left", xshift=-8)  # fmt: skip
        figure.add_scatter(x=[place, place], y=[0, 1], mode="lines", line={"color": MUTED, "width": 1},
                           showlegend=False, hoverinfo="skip")  # fmt: skip
        for height, told in ticks:
            figure.add_annotation(x=place, y=height, text=escape(told), showarrow=False, xanchor="right", xshift=-4,
                                  font={"size": 10, "color": MUTED})  # fmt: skip
    bands = _bands(len(trials))
    for band, (first, last) in enumerate(bands):
        _polylines(
            figure, trials[first:last], axes, first, SCALE[round(band * (len(SCALE) - 1) / max(len(bands) - 1, 1))]
        )
    figure.update_xaxes(visible=False, range=[-0.5, len(axes) - 0.3])
    figure.update_yaxes(visible=False, range=[-0.06, 1.42])
    figure.update_layout(showlegend=False, height=390, margin={"t": 8, "b": 8, "l": 20, "r": 70})
    return figure


def _polylines(
    figure: go.Figure, trials: Sequence[TrialRecord], axes: Sequence[tuple[str, Any]], first: int, colour: str
) -> None:
    x, y, told = [], [], []
    for row, trial in enumerate(trials, start=first):
        heights = [positions[row] for _, (positions, _) in axes]
        x += [*range(len(axes)), None]
        y += [*heights, None]
        chosen = ", ".join(f"{short_name(path)} {value(chosen)}" for path, chosen in trial.overrides.items())
        told += [escape(f"{short_id(trial.trial_id)}: {chosen}")] * (len(axes) + 1)
    figure.add_scatter(x=x, y=y, mode="lines", line={"color": colour, "width": 1.6}, text=told, opacity=0.8,
                       connectgaps=False, hovertemplate="%{text}<extra></extra>")  # fmt: skip


def _bands(n: int) -> list[tuple[int, int]]:
    """`n` trials, poor to good, in as many groups as there are colours."""
    edges = [round(at * n / min(n, len(SCALE))) for at in range(min(n, len(SCALE)) + 1)]
    return [(first, last) for first, last in pairwise(edges) if first < last]


def _axis(values: Sequence[Any]) -> tuple[list[float | None], list[tuple[float, str]]]:
    """Heights from 0 to 1 of values, and ticks; numbers that span decades on a log scale, what is not searched at none."""
    there = [v for v in values if v is not None]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in there)
    distinct = sorted(set(there), key=lambda v: (v if numbers else 0, str(v)))
    if not numbers or len(distinct) <= 6:
        place = {v: (at + 0.5) / len(distinct) for at, v in enumerate(distinct)}
        return [None if v is None else place[v] for v in values], [(height, value(v)) for v, height in place.items()]
    low, high = distinct[0], distinct[-1]
    log = low > 0 and high / low > 20
    scaled = math.log if log else float
    span = scaled(high) - scaled(low)
    heights = [None if v is None else (scaled(v) - scaled(low)) / span for v in values]
    ticks = [low * (high / low) ** t if log else low + (high - low) * t for t in (0, 0.25, 0.5, 0.75, 1)]
    return heights, [(height, f"{tick:.2g}") for height, tick in zip((0, 0.25, 0.5, 0.75, 1), ticks, strict=True)]


def importance_bars(shares: Mapping[str, float]) -> go.Figure:
    """Shares in percent, the largest on top."""
    rows = sorted(shares.items(), key=lambda item: item[1])
    figure = _figure("importance, %", "")
    figure.add_bar(x=[100 * share for _, share in rows], y=[escape(short_name(path)) for path, _ in rows],
                   orientation="h", marker={"color": SERIES[0]}, hovertemplate="%{y}: %{x:.0f} %<extra></extra>",
                   showlegend=False)  # fmt: skip
    figure.update_layout(bargap=0.35)
    return figure


def timeline(record: SweepRecord, clock: SweepClock) -> go.Figure:
    """When which trials ran, in as many lanes as ran side by side; pauses of the sweep are left out."""
    attempts = [(start, max(end, start), trial) for trial in record.trials.values() for start, end in trial.attempts]
    spans = sorted(attempts, key=lambda attempt: attempt[0])
    lanes: list[float] = []
    bars: dict[str, list[tuple[float, float, int, str]]] = {}
    for start, end, trial in spans:
        lane = next((at for at, free in enumerate(lanes) if free <= start + 0.5), len(lanes))
        lanes[lane : lane + 1] = [end]
        begin, length = clock.ran(start), clock.ran(end) - clock.ran(start)
        bars.setdefault(trial.state, []).append((begin, length, lane, short_id(trial.trial_id)))
    figure, few = _figure(clock.unit, "trials side by side"), len(spans) <= 40
    for state, drawn in bars.items():
        figure.add_bar(
            base=[bar[0] for bar in drawn], x=[bar[1] for bar in drawn], y=[f"lane {bar[2] + 1}" for bar in drawn],
            orientation="h", name=state, text=[bar[3] for bar in drawn] if few else None, textposition="inside",
            insidetextanchor="middle", textangle=0, marker={"color": state_colour(state), "line": {"width": 1}},
            customdata=[bar[3] for bar in drawn],
            hovertemplate=f"%{{customdata}} {state}: %{{x:.3g}} {clock.unit.split()[0]}<extra></extra>",
        )  # fmt: skip
    names = [f"lane {at + 1}" for at in range(len(lanes))]
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1])
    figure.update_layout(barmode="overlay", bargap=0.25, height=110 + 46 * len(lanes))
    return figure


def expected_best_chart(curves: Mapping[str, ExpectedBest], objective: Objective) -> go.Figure:
    """The best score to expect after n trials, with 90 % of the draws, for each name."""
    figure = _figure("trials", f"{label(objective)}, the best to expect")
    sign = -1 if objective.direction == "maximize" else 1
    if max(len(curve.mean) for curve in curves.values()) <= 12:
        figure.update_xaxes(dtick=1)
    for (name, curve), colour in zip(curves.items(), _endless(SERIES, len(curves)), strict=True):
        n = list(range(1, len(curve.mean) + 1))
        bounds = [[_finite(sign * bound) for bound in edge] for edge in (curve.low, curve.high)]
        shown = [at for at, edge in enumerate(bounds[0]) if edge is not None]
        figure.add_scatter(x=[n[at] for at in [*shown, *shown[::-1]]],
                           y=[*(bounds[0][at] for at in shown), *(bounds[1][at] for at in shown[::-1])],
                           fill="toself", mode="lines", line={"width": 0, "color": colour}, opacity=0.2,
                           hoverinfo="skip", showlegend=False)  # fmt: skip
        figure.add_scatter(x=n, y=[_finite(sign * mean) for mean in curve.mean], mode="lines+markers",
                           name=escape(name), line={"color": colour, "width": 2}, marker={"size": 5},
                           hovertemplate="after %{x}: %{y:.3g}<extra></extra>")  # fmt: skip
    return figure


def best_over_time(subjects: Sequence[ExperimentData]) -> go.Figure:
    """The best so far of each experiment over the time that its sweep ran."""
    objective, clocks = subjects[0].objective, [SweepClock(subject.record) for subject in subjects]
    figure = _figure("hours of the sweep", f"{label(objective)}, the best so far")
    for subject, clock, colour in zip(subjects, clocks, _endless(SERIES, len(subjects)), strict=True):
        best, points = math.inf, []
        for trial in sorted(subject.scored, key=_end):
            best = min(best, objective.loss(trial.scores))
            points.append((clock.hours(_end(trial)), -best if objective.direction == "maximize" else best))
        figure.add_scatter(x=[x for x, _ in points], y=[y for _, y in points], mode="lines+markers", name=escape(subject.name),
                           line={"color": colour, "width": 2, "shape": "hv"}, marker={"size": 5})  # fmt: skip
    return figure


def all_scores(subjects: Mapping[str, ExperimentData]) -> go.Figure:
    """Every score of each experiment in a row of its own."""
    objective = next(iter(subjects.values())).objective
    figure = _figure(label(objective), "")
    for (name, subject), colour in zip(subjects.items(), _endless(SERIES, len(subjects)), strict=True):
        told = [f"{short_id(trial.trial_id)}: {objective_value(objective, trial.scores)}" for trial in subject.scored]
        figure.add_scatter(x=[objective.value_of(trial.scores) for trial in subject.scored],
                           y=[escape(name)] * len(subject.scored), mode="markers", text=told, showlegend=False,
                           marker={"color": colour, "size": 10, "opacity": 0.6},
                           hovertemplate="%{text}<extra></extra>")  # fmt: skip
    figure.update_yaxes(autorange="reversed")
    return figure


def _end(trial: TrialRecord) -> float:
    return trial.attempts[-1][1]


def _dots(
    figure: go.Figure,
    x: Sequence[float],
    y: Sequence[float],
    trials: Sequence[TrialRecord],
    objective: Objective,
    name: str,
) -> None:
    """A dot for each trial; the paper's points are diamonds."""
    for shape, mine, called in (("circle", False, name), ("diamond", True, "the paper's point")):
        at = [row for row, trial in enumerate(trials) if trial.is_paper_point == mine]
        told = [f"{short_id(trials[row].trial_id)}: {objective_value(objective, trials[row].scores)}, "
                f"{duration(trials[row].seconds)}" for row in at]  # fmt: skip
        if at:
            figure.add_scatter(x=[x[row] for row in at], y=[y[row] for row in at], mode="markers", name=called, text=told,
                               marker={"size": 11 if mine else 9, "symbol": shape, "line": {"width": 1, "color": "#ffffff"},
                                       "color": SERIES[1] if mine else SERIES[0]},
                               hovertemplate="%{text}<extra></extra>")  # fmt: skip


def _figure(x_title: str, y_title: str) -> go.Figure:
    """The title is that of the y axis; it stands above, where it reads without a turned head."""
    figure = go.Figure()
    figure.update_layout(
        template="none", height=330, margin={"l": 48, "r": 12, "t": 30, "b": 44}, font={"size": 13}, title={"text": y_title},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        showlegend=True, hovermode="closest", paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
    )  # fmt: skip
    figure.update_xaxes(title={"text": x_title, "standoff": 8, "font": {"size": 13}}, zeroline=False, automargin=True)
    figure.update_yaxes(zeroline=False, automargin=True)
    return figure


def _finite(number: float) -> float | None:
    """What is no number is a gap."""
    return number if math.isfinite(number) else None


def _endless(colours: Sequence[str], n: int) -> list[str]:
    return [colours[at % len(colours)] for at in range(n)]

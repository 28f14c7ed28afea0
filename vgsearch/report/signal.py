"""How much of a search's scores is signal: between points, not retraining them."""

import math
from collections.abc import Iterator

from vgsearch.evaluation.confirmation import signal_between
from vgsearch.experiment.objective import LABELS, Objective
from vgsearch.experiment.signal import has_several_seeds, signal_of_search
from vgsearch.report.blocks import Block, Facts, Text
from vgsearch.report.experiment_data import ExperimentData
from vgsearch.terminal.signal_line import seeds_needed, share_between
from vgsearch.terminal.words import number, typed
from videogan.metrics.retraining_noise import RetrainingNoise, luck_of_the_best


def signal_blocks(subject: ExperimentData) -> list[Block]:
    """The analysis of the search's own seeds and that of `confirm`, or how to get one; empty if no trial was scored."""
    if not subject.scored:
        return []
    blocks, told = list[Block](), set[Objective]()
    for objective, noise, points in _analyses(subject):
        blocks.append(_analysis(objective, noise, points))
        if objective not in told and not math.isnan(noise.icc.mean):
            blocks.append(Text(_meaning(subject, objective, noise)))
            told.add(objective)
    return blocks or [Text(_how_to_measure(subject))]


def _analyses(subject: ExperimentData) -> Iterator[tuple[Objective, RetrainingNoise, str]]:
    """Objective, analysis, and what its points are."""
    record = subject.record
    if has_several_seeds(record):
        found = signal_of_search(record)
        yield from (
            (each, found[each.name], "points of this search") for each in record.objectives if each.name in found
        )
    if points := subject.confirmed():
        yield subject.objective, signal_between(points, record), "points that confirm trained again"


def _how_to_measure(subject: ExperimentData) -> str:
    return (
        f"How much of the variance in {LABELS[subject.objective.name]} is between points, and how much is retraining "
        f"the same point, is unknown, for each point was trained once: vgsearch confirm "
        f"{typed(subject.experiment.place)} measures it for the best points, vgsearch tune --seeds-per-trial 3 for "
        "those of a new search."
    )


def _analysis(objective: Objective, noise: RetrainingNoise, points: str) -> Block:
    name = LABELS[objective.name]
    if math.isnan(noise.icc.mean):
        return Text(f"How much of the variance in {name} is retraining is unknown: {noise.reason}.", warning=True)
    pairs = [
        ("measured on", f"{noise.n_runs} trainings of {noise.n_points} {points}"),
        ("between points", f"{share_between(noise)} of the variance in {name} (ICC(1), 95 % interval)"),
        ("retraining", f"the rest: a standard deviation of {number(noise.spread)} a training"),
        ("seeds a point", seeds_needed(noise)),
    ]
    return Facts(pairs)


def _meaning(subject: ExperimentData, objective: Objective, noise: RetrainingNoise) -> str:
    """What retraining alone does to the best of as many points as this search scored, beside what the best reached."""
    n_seeds = subject.sweep.seeds_per_trial
    values = [-objective.loss(trial.scores) for trial in subject.record.done if objective.name in trial.scores]
    luck = luck_of_the_best(len(values), noise.spread / math.sqrt(n_seeds))
    lead = max(values) - math.fsum(values) / len(values)
    above = "above" if objective.direction == "maximize" else "below"
    each = "one seed" if n_seeds == 1 else f"{n_seeds} seeds each"
    return (
        f"This search scored {len(values)} points with {each}: if all were equally good, retraining alone would put "
        f"the best {number(luck)} {above} their mean; the best of this search is {number(lead)} {above} the mean"
        f"{', which luck explains.' if lead <= luck else '.'}"
    )

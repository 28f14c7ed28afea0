"""Whether a search's best points hold on fresh seeds: the runs, and the comparison with the paper's point."""

import itertools
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vgsearch.experiment.ledger import UNFINISHED, SweepRecord, TrialRecord
from vgsearch.experiment.objective import LABELS, Objective
from vgsearch.experiment.paths import Experiment, run_id, short_id
from vgsearch.experiment.scoring import split_of
from vgsearch.experiment.signal import signal_of, trainings
from vgsearch.space.sweep import Sweep
from vgsearch.terminal.signal_line import signal_line
from vgsearch.terminal.sweep_table import objective_value
from vgsearch.terminal.verdict import UNTRAINED, WHOLE, against, share_of_untrained
from vgsearch.terminal.words import interval
from videogan.amounts import n_of
from videogan.config import ConfigurationError
from videogan.data.manifest import Manifest
from videogan.metrics.interval import Interval
from videogan.metrics.retraining_noise import RetrainingNoise
from videogan.metrics.seed_interval import MAX_SEEDS, score_interval, seed_interval
from videogan.metrics.t_test import paired_p
from videogan.storage.atomic import write_atomically
from videogan.storage.json_values import json_values

FIRST_FRESH_SEED = 500_000
"""Added to the sweep's seed: above the seeds of its trials, below those of their retries."""
_N_APART = 1_000
"""Sweeps whose seeds are less far apart share no fresh seed: their answers can be averaged."""

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class ConfirmationPlan:
    """A request of `confirm`: the experiment, how many of its best points, and the seeds."""

    experiment: Experiment
    sweep: Sweep
    manifest: Manifest
    top: int
    seeds: Sequence[int]
    fold: int = 0
    """The fold that `manifest` is, from 1; 0 without folds."""


@dataclass(frozen=True)
class Comparison:
    """A point's scores minus those of the paper's point, seed by seed; larger is better for every objective."""

    n: int
    """Seeds that both were scored with."""
    mean: float
    low: float
    high: float
    p: float
    """Two-sided, of Student's paired t-test; below .05 exactly where the interval leaves out 0."""

    @property
    def interval(self) -> Interval:
        return Interval(self.mean, self.low, self.high)


@dataclass(frozen=True)
class Confirmed:
    """A point trained again: its objective by seed, the ends of the other runs, the difference to the paper's point."""

    trial_id: str
    is_paper_point: bool
    overrides: dict[str, Any]
    in_search: float | None
    by_seed: dict[int, float]
    """The objective of each seed; with folds its mean over them, once all have it."""
    by_training: list[float]
    """The objective in each training: several for each seed of a sweep that trains its points with several."""
    ends: dict[int, str]
    interval: Interval
    against_paper: Comparison | None
    share_of_untrained: Interval | None
    """Of a distance: the share of the untrained generator's by the same classifiers, over classifiers."""


def points_to_confirm(record: SweepRecord, top: int) -> list[TrialRecord]:
    """The `top` best done trials by the first objective, best first, and the paper's first point.

    Trials that copy training clips are not among the best unless the search allows them.

    Raises ConfigurationError if no trial was scored.
    """
    objective, papers = record.objectives[0], [trial for trial in record.trials.values() if trial.is_paper_point]
    scored = [trial for trial in record.done if objective.name in trial.scores]
    done = [trial for trial in scored if record.may_be_best(trial)]
    if not done or not papers:
        why = "every scored trial copies training clips" if scored and papers else "no trial was scored"
        raise ConfigurationError(f"{why}, so there is nothing to confirm; vgsearch status shows why.")
    best = sorted(done, key=lambda trial: (objective.loss(trial.scores), trial.index))[:top]
    paper = min(papers, key=lambda trial: trial.index)
    return best if paper in best else [*best, paper]


def fresh_seeds(sweep: Sweep, record: SweepRecord, n: int) -> list[int]:
    """The first `n` seeds that no trial was trained with; raises ConfigurationError for an impossible `n`."""
    if not 2 <= n <= MAX_SEEDS:
        raise ConfigurationError(f"--seeds must be from 2 to {MAX_SEEDS}, got {n}: one seed has no interval.")
    used = {sweep.run_config(trial.overrides, trial.index).seed for trial in record.trials.values()}
    first = FIRST_FRESH_SEED + sweep.seed + MAX_SEEDS * (sweep.seed % _N_APART)
    return list(itertools.islice((seed for seed in itertools.count(first) if seed not in used), n))


def n_confirming_seeds(n_trials: int) -> int:
    """The fresh seeds of the best point and of the paper's at the end of a search: 2 to 5 of each.

    With 12 trials or more their trainings are at most a third of the search's.
    """
    return min(max(2, n_trials // 6), 5)


def compared(scores: dict[int, float], paper: dict[int, float], objective: Objective) -> Comparison | None:
    """A point minus the paper's on the seeds both were scored with; None for fewer than two such seeds."""
    sign = 1 if objective.direction == "maximize" else -1
    differences = [sign * (scores[seed] - paper[seed]) for seed in scores if seed in paper]
    if len(differences) < 2:
        return None
    return Comparison(len(differences), *seed_interval(differences), paired_p(differences))


def confirmed(record: SweepRecord, top: int, seeds: Sequence[int], n_folds: int = 0) -> list[Confirmed]:
    """The results of the points to confirm, the best of the search first; `n_folds`: 0 without folds."""
    points, objective, folds = points_to_confirm(record, top), record.objectives[0], folds_of(n_folds)
    paper = next(point for point in points if point.is_paper_point)
    paper_scores = _scores(_runs(record, paper, seeds, folds), objective, len(folds))
    return [_confirmed(record, point, seeds, folds, None if point is paper else paper_scores) for point in points]


def folds_of(n_folds: int) -> Sequence[int]:
    """The numbers of the folds in the ids of runs: 1 to n_folds, or 0 without folds."""
    return range(1, n_folds + 1) if n_folds else [0]


def _confirmed(
    record: SweepRecord,
    point: TrialRecord,
    seeds: Sequence[int],
    folds: Sequence[int],
    paper_scores: dict[int, float] | None,
) -> Confirmed:
    objective, runs = record.objectives[0], _runs(record, point, seeds, folds)
    scores = _scores(runs, objective, len(folds))
    return Confirmed(
        trial_id=point.trial_id,
        is_paper_point=point.is_paper_point,
        overrides=point.overrides,
        in_search=point.scores.get(objective.name),
        by_seed=scores,
        by_training=_by_training(runs, objective, len(folds)),
        ends={seed: run.state for (seed, _), run in runs.items() if run.state != "done"},
        interval=score_interval(objective.name, list(scores.values()))
        if scores
        else Interval(math.nan, math.nan, math.nan),
        against_paper=None if paper_scores is None else compared(scores, paper_scores, objective),
        share_of_untrained=share_of_untrained(
            [run.score for run in runs.values() if run.state == "done"], record, objective
        ),
    )


Runs = dict[tuple[int, int], TrialRecord]
"""The runs of one point by (seed, fold)."""


def _runs(record: SweepRecord, point: TrialRecord, seeds: Sequence[int], folds: Sequence[int]) -> Runs:
    """The runs of a point that have started."""
    started = record.confirmation.trials if record.confirmation else {}
    names = {(seed, fold): run_id(point.trial_id, seed, fold) for seed in seeds for fold in folds}
    return {run: started[name] for run, name in names.items() if name in started}


def _scores(runs: Runs, objective: Objective, n_folds: int) -> dict[int, float]:
    by_seed: dict[int, list[float]] = {}
    for (seed, _), run in runs.items():
        if run.state == "done":
            by_seed.setdefault(seed, []).append(objective.value_of(run.scores))
    return {seed: sum(values) / n_folds for seed, values in by_seed.items() if len(values) == n_folds}


def _by_training(runs: Runs, objective: Objective, n_folds: int) -> list[float]:
    """The objective in each training; of several folds their mean: what folds differ by is no retraining."""
    by_seed: dict[int, list[list[float]]] = {}
    for (seed, _), run in runs.items():
        if run.state == "done":
            by_seed.setdefault(seed, []).append(trainings(run, objective))
    whole = [of_folds for of_folds in by_seed.values() if len(of_folds) == n_folds]
    return [sum(values) / n_folds for of_folds in whole for values in zip(*of_folds, strict=True)]


def remaining_runs(record: SweepRecord, top: int, seeds: Sequence[int], fold: int = 0) -> list[tuple[TrialRecord, int]]:
    """The runs (point, seed) of a fold that have not ended, seed by seed, so that an early stop compares all points."""
    pairs = [(point, seed) for seed in seeds for point in points_to_confirm(record, top)]
    return [
        (point, seed) for point, seed in pairs
        if (run := _runs(record, point, [seed], [fold]).get((seed, fold))) is None or run.state in UNFINISHED
    ]  # fmt: skip


def save(path: Path, points: Sequence[Confirmed], record: SweepRecord, seeds: Sequence[int], n_folds: int = 0) -> None:
    """Write confirm.json; a value that does not exist is null."""
    header = {} if record.confirmation is None else record.confirmation.header
    written = {
        "objective": str(record.objectives[0]),
        "protocol": header.get("protocol"),
        "split": header.get("split"),
        "seeds": list(seeds),
        "folds": n_folds,
        "interval": "Student's 95 % over training seeds",
        "comparison": "minus the paper's point, seed by seed, larger being better: Student's 95 % and p",
        "answer": answer(points, record.objectives[0]),
        "verdict": verdict_on(points, record),
        "signal": asdict(signal_between(points, record)),
        "points": [asdict(point) for point in points],
    }
    text = json.dumps(json_values(written), indent=1, allow_nan=False) + "\n"
    write_atomically(path, lambda stream: stream.write(text.encode()))


def signal_between(points: Sequence[Confirmed], record: SweepRecord) -> RetrainingNoise:
    """How much of the variance in the first objective is between the points, and how much is retraining them.

    The points are the best of a search and the paper's, not a sample of its space. What a seed does to all points alike
    counts as retraining.
    """
    return signal_of([point.by_training for point in points], record.objectives[0])


def answer(points: Sequence[Confirmed], objective: Objective) -> str:
    """Which point to use, the search's best or the paper's, as far as fresh seeds and unseen clips can tell."""
    best = points[0]
    if best.is_paper_point:
        return "the paper's point: the search found none that scores higher"
    against, name = best.against_paper, short_id(best.trial_id)
    if against is None:
        return f"none yet: {name} and the paper's point share fewer than 2 scored seeds"
    measured = (
        f"{objective.name} {interval(against.interval, '+')}, + is better, p = {against.p:.2g}, {against.n} seeds"
    )
    if against.p >= SIGNIFICANT:
        return (
            f"not told apart: {name} minus the paper's point, {measured}; a larger --seeds of vgsearch confirm may tell"
        )
    return (
        f"{name}, not the paper's point: {measured}"
        if against.mean > 0
        else f"the paper's point, not {name}: {measured}"
    )


def verdict_on(points: Sequence[Confirmed], record: SweepRecord) -> str:
    """Whether the best point, trained again on fresh seeds, is distinguishable from an untrained generator."""
    objective, best = record.objectives[0], points[0]
    floor = None if record.floor is None else record.floor.score.interval(objective.name)
    name, n = short_id(best.trial_id), len(best.by_seed)
    if n < 2:
        return f"none yet: {name} has {n_of(n, 'scored fresh seed')}, 2 are needed; the same vgsearch confirm continues"
    split = split_of(record)
    beside = (
        "" if floor is None else f"; that of the untrained one is {interval(floor)}{f' on {split}' if split else ''}"
    )
    measured = f"{LABELS[objective.name]} {interval(best.interval)} on {n} fresh seeds{beside}"
    if best.share_of_untrained is None:
        return f"{name} is {against(UNTRAINED, best.interval, floor, objective)}: {measured}"
    share = f"{interval(best.share_of_untrained)} of it by the same classifiers"
    return f"{name} is {against(UNTRAINED, best.share_of_untrained, WHOLE, objective)}: {measured}, {share}"


def print_confirmation(points: Sequence[Confirmed], record: SweepRecord, console: Console) -> None:
    """Print the points as a table, how much of their scores is signal, and notes on what the numbers mean."""
    console.print(confirmed_table(points, record.objectives[0]))
    console.print(f"answer: {answer(points, record.objectives[0])}", soft_wrap=True)
    console.print(f"verdict: {verdict_on(points, record)}", soft_wrap=True)
    signal = signal_line(record.objectives[0].name, signal_between(points, record), "these points")
    console.print(f"signal: {signal}", soft_wrap=True)
    for note in notes_on(points):
        console.print(f"note: {note}", style="yellow", soft_wrap=True)


def confirmed_table(points: Sequence[Confirmed], objective: Objective) -> Table:
    """A row for each point: its score in the search, on fresh seeds, and minus that of the paper's point."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    name = objective.name
    for column in ("point", f"{name} then", f"{name} again [95 %]", "minus paper [95 %]", "p", "runs"):
        table.add_column(column, no_wrap=True)
    for point in points:
        table.add_row(*_row(point, objective))
    return table


def _row(point: Confirmed, objective: Objective) -> list[str]:
    ends = "".join(f", {n} {end}" for end, n in Counter(point.ends.values()).items())
    against = point.against_paper
    searched = {} if point.in_search is None else {objective.name: point.in_search}
    return [
        short_id(point.trial_id) + (" (paper)" if point.is_paper_point else ""),
        objective_value(objective, searched),
        interval(point.interval),
        "-" if against is None else interval(against.interval, "+"),
        "-" if against is None else f"{against.p:.3f}",
        f"{len(point.by_seed)} scored{ends}",
    ]


def notes_on(points: Sequence[Confirmed]) -> list[str]:
    """Notes on how to read the table's numbers."""
    notes = [
        "then: in the search, on the clips it chose by, where the best of many trials also had the luckiest seed; "
        "again: on fresh seeds and test clips; minus paper: seed by seed, + is better"
    ]
    if any(point.against_paper for point in points):
        notes.append("p: Student's paired t-test on the seeds shared with the paper's point, each point by itself")
    return notes

"""The paper's points of a sweep side by side: each with several training seeds, and minus the first of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from vgsearch.experiment.ledger import SweepRecord, TrialRecord
from vgsearch.experiment.objective import LABELS
from vgsearch.experiment.paths import short_id
from vgsearch.experiment.signal import trainings
from vgsearch.terminal.words import interval
from videogan.metrics.interval import Interval
from videogan.metrics.seed_interval import score_interval
from videogan.metrics.t_test import difference


@dataclass(frozen=True)
class Method:
    """A paper's point: its objective over training seeds, and its difference to the first point."""

    name: str
    trial_id: str
    values: Sequence[float]
    """The objective in each training."""
    interval: Interval
    """Student's 95 % over training seeds."""
    against_first: Interval | None
    """Mean minus that of the first point, larger being better, with its 95 % interval; None for the first."""
    p: float | None
    """That the two means are equal: Student's test of two independent samples."""


def methods(record: SweepRecord) -> list[Method]:
    """The scored paper's points with at least two training seeds, in the order of the space; empty if fewer than two.

    By the first objective.
    """
    objective, names = record.objectives[0], _names(record)
    papers = sorted((trial for trial in record.done if trial.is_paper_point), key=lambda trial: trial.index)
    measured = [(trial, trainings(trial, objective)) for trial in papers]
    usable = [(trial, values) for trial, values in measured if len(values) > 1]
    if len(usable) < 2:
        return []
    sign, first = (1 if objective.direction == "maximize" else -1), usable[0][1]
    found = []
    for trial, values in usable:
        apart, p = difference([sign * value for value in values], [sign * value for value in first])
        is_first = values is first
        name = names[trial.index] if trial.index < len(names) else short_id(trial.trial_id)
        against = (None, None) if is_first else (apart, p)
        found.append(Method(name, trial.trial_id, values, score_interval(objective.name, values), *against))
    return found


def methods_table(found: Sequence[Method], record: SweepRecord) -> Table:
    """A row for each point: its score over seeds, and minus that of the first point."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    name = LABELS[record.objectives[0].name]
    for column in ("method", f"{name} [95 %]", f"minus {found[0].name} [95 %]", "p", "seeds"):
        table.add_column(column, no_wrap=True)
    for method in found:
        against = "-" if method.against_first is None else interval(method.against_first, "+")
        p = "-" if method.p is None else f"{method.p:.3f}"
        table.add_row(method.name, interval(method.interval), against, p, str(len(method.values)))
    return table


def note_on_methods(record: SweepRecord) -> str:
    """How to read the table's numbers."""
    what = "differences are means, + is better; p: Student's test of two samples, each pair by itself"
    left_out = [trial for trial in record.trials.values() if trial.is_paper_point and len(_values(trial, record)) < 2]
    lacking = ", ".join(f"{short_id(trial.trial_id)} ({trial.state})" for trial in left_out)
    return what + (f"; without two scored seeds: {lacking}" if lacking else "")


def _values(trial: TrialRecord, record: SweepRecord) -> Sequence[float]:
    return trainings(trial, record.objectives[0]) if trial.state == "done" else ()


def _names(record: SweepRecord) -> Sequence[str]:
    names: Sequence[str] = record.header.get("sweep", {}).get("space", {}).get("point_names", ())
    return names

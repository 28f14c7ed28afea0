"""The tables of a report."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

from rich.table import Table as RichTable
from rich.text import Text as RichText

from vgsearch.experiment.ledger import UNFINISHED, SweepRecord, TrialRecord
from vgsearch.experiment.objective import Objective
from vgsearch.experiment.paths import short_id
from vgsearch.report.blocks import Block, Table, Text
from vgsearch.terminal.sweep_table import objective_value, sweep_table

_ANY_WIDTH = 1_000_000
_SOME = 6


def trials_table(record: SweepRecord, best_first: Sequence[TrialRecord]) -> Table:
    """All trials with all their values, as `vgsearch status` shows them on a wide screen; `best_first` on top."""
    table = as_block(sweep_table(record, _ANY_WIDTH))
    by_index = sorted(record.trials.values(), key=lambda trial: trial.index)
    rank = {trial.trial_id: at for at, trial in enumerate(best_first)}
    ranked = sorted(zip(by_index, table.rows, strict=True), key=lambda pair: rank.get(pair[0].trial_id, len(rank)))
    rows = [row for _, row in ranked]
    marked = frozenset(number for number, row in enumerate(rows) if row[0].startswith("*"))
    return dataclasses.replace(table, rows=rows, marked=marked, sortable=True)


def as_block(table: RichTable) -> Table:
    """A terminal's table as a block of a page."""
    cells = [
        [cell.plain if isinstance(cell, RichText) else str(cell) for cell in column.cells] for column in table.columns
    ]
    heads = [str(column.header) or "note" for column in table.columns]
    right = frozenset(head for head, column in zip(heads, table.columns, strict=True) if column.justify == "right")
    return Table(heads, [[cell.strip() for cell in row] for row in zip(*cells, strict=True)], right)


def failures(record: SweepRecord) -> list[Block]:
    """The ends of trials without a score, by reason, the most frequent first."""
    whose: dict[tuple[str, str], list[str]] = defaultdict(list)
    for trial in record.trials.values():
        if trial.state not in ("done", *UNFINISHED):
            whose[trial.state, trial.reason or "-"].append(short_id(trial.trial_id))
    rows = [
        (state, str(len(ids)), reason, ", ".join(ids[:_SOME]) + (f" and {len(ids) - _SOME} more" * (len(ids) > _SOME)))
        for (state, reason), ids in sorted(whose.items(), key=lambda item: -len(item[1]))
    ]
    if not rows:
        return [Text("Every trial that ended has a score.")] if record.done else []
    return [Table(("end", "trials", "reason", "which"), rows, frozenset({"trials"}), title="Ended without a score")]


def health(record: SweepRecord) -> list[Block]:
    """The health of each trial at its newest look, with the evidence."""
    rows = [
        (short_id(trial.trial_id), trial.state, state, evidence)
        for trial in record.trials.values()
        for state, evidence in (trial.health or {"states": {}})["states"].items()
    ]
    return [Table(("trial", "end", "health", "evidence"), rows, title="Health at the newest look")] if rows else []


def interval_or_value(objective: Objective, trial: TrialRecord) -> str:
    """0.62 [0.58, 0.66]; the value alone if it has no interval."""
    return objective_value(objective, trial.scores, trial.score)

"""A sweep in a terminal: a live table, or one line per event if the output is not a terminal."""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vgsearch.experiment.end import ENDS
from vgsearch.experiment.ledger import CONFIRM, ENOUGH, GPU_LEFT_OUT, UNFINISHED, Event, SweepRecord, TrialRecord
from vgsearch.experiment.objective import COST, Objective, looks_at_distance
from vgsearch.experiment.paths import short_id
from vgsearch.experiment.score import Floor, Score
from vgsearch.terminal.time_left import TimeLeft
from vgsearch.terminal.verbosity import is_quiet
from vgsearch.terminal.words import duration, interval, number, short_name, size, value
from videogan.metrics import SCORES_OF_S3

WIDTH_OF_NOTE, SHORTEST_NOTE = 40, 13
"""Characters that other columns leave to the note if they can, and fewer than which it is left out."""
S3_COLUMNS = ("S3 [95 %]", "SeR/ReS")
ALWAYS = ("id", "state", "step", "look", S3_COLUMNS[0], "health")
"""The columns of any width, beside the objectives; 80 characters hold them."""
IF_IT_FITS = ("time", "", S3_COLUMNS[1], "D-loss")
"""The next columns, the most important first; after them the searched values."""
LONG_TRAINING = 10_000
"""Steps from which they are counted in thousands."""
COLOURS = {
    **dict.fromkeys(("diverged", "failed", "out_of_memory", "stalled", "lost"), "red"),
    **dict.fromkeys(("pruned", "unscored"), "yellow"),
    **dict.fromkeys(UNFINISHED, "cyan"),
    "done": "green",
}


class SweepView:
    """Shows a sweep's record while it changes."""

    def __init__(
        self,
        console: Console,
        record: SweepRecord,
        n_trials: int | None,
        json_lines: bool = False,
        on_interrupt: str = "save and stop",
    ) -> None:
        self.console, self._record, self._n_trials, self._json_lines = console, record, n_trials, json_lines
        self._on_interrupt = on_interrupt
        self._time_left = self._time_left_from_now()

    @property
    def n_trials(self) -> int:
        """As given, or of the record's newest header."""
        return self._record.header.get("n_trials", 0) if self._n_trials is None else self._n_trials

    def _time_left_from_now(self) -> TimeLeft:
        return TimeLeft(self._record, self.n_trials, time.monotonic())

    @contextmanager
    def live(self) -> Iterator[None]:
        """Redraw the table twice a second on a terminal; elsewhere `print_event` prints."""
        if not self.console.is_terminal or self._json_lines or is_quiet():
            yield
            return
        self._time_left = self._time_left_from_now()  # of the rate at which it is seen to go on
        with Live(console=self.console, get_renderable=self.renderable, refresh_per_second=2):
            yield

    def print_event(self, event: Event) -> None:
        """Print one event as a line, or as JSON; on a terminal, which shows the live table, what it lacks."""
        is_shown = not self.console.is_terminal or event["event"].endswith((GPU_LEFT_OUT, ENOUGH))
        if self._json_lines:
            print(json.dumps(event), flush=True)
        elif is_shown and not is_quiet() and (line := event_line(event, self._record)):
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def renderable(self) -> Group:
        # Besides the rows: head, two captions, a line of the running trials, and a summary that may take two lines.
        table = sweep_table(self._record, self.console.width, max(1, self.console.height - 6))
        running = Text(phases(self._record), "cyan", no_wrap=True, overflow="ellipsis")
        return Group(table, *([running] if running else []), Text(self.summary(), style="dim"))

    def summary(self) -> str:
        finished = [state for state in ENDS if state not in UNFINISHED]
        counts = " ".join(f"{n} {state}" for state in (*finished, "running") if (n := self._record.count(state)))
        if best := best_line(self._record):
            counts += f"   {best}"
        left = self._time_left.seconds(time.monotonic())
        return (
            f"{_n_ended(self._record)}/{self.n_trials} trials   {counts}   ETA "
            f"{'-' if left is None else duration(left)}   Ctrl-C once: {self._on_interrupt}"
        )


def phases(record: SweepRecord) -> str:
    """What each running trial does: t0003 scoring 18/24   t0004 training 150/200; empty if none runs."""
    running = [trial for trial in list(record.trials.values()) if trial.state == "running"]
    return "   ".join(f"{short_id(trial.trial_id)} {trial.phase or _likely_phase(trial)}" for trial in running)


def _likely_phase(trial: TrialRecord) -> str:
    """What a trial does that has not reported it, as far as its steps say."""
    if not trial.step:
        return "starting"
    return "scoring" if trial.step == trial.n_steps else f"training {steps(trial)}"


def sweep_table(record: SweepRecord, width: int, n_rows: int | None = None) -> Table:
    """The table of trials: state, progress, look, scores, losses and as many of the searched values as fit `width`.

    Of more than `n_rows` trials it shows those of the front, the running ones and the newest.
    """
    # A copy: the driver adds trials while the live table is drawn in another thread.
    trials = sorted(list(record.trials.values()), key=lambda trial: trial.index)
    shown_trials = _chosen_rows(trials, [trial.trial_id for trial in record.front], n_rows)
    objectives = [objective.name for objective in _beside_s3(record.objectives)]
    columns = _columns(record, shown_trials, objectives)
    widths = {name: max(map(len, cells)) + 2 for name, cells in columns.items()}
    names = _fitting(widths, objectives, width)
    table = _empty_table({name: columns[name][0] for name in names}, widths, width, objectives)
    for row, trial in enumerate(shown_trials, start=1):
        table.add_row(*_styled({name: columns[name][row] for name in names}, trial))
    hidden = [short_name(name) or "notes" for name in columns if name not in names]
    n_more = len(trials) - len(shown_trials)
    captions = [f"{n_more} more trials: vgsearch status"] if n_more else []
    captions += [_hidden_line(hidden, sum(widths[name] for name in names if name) - 2)] if hidden else []
    table.caption = "\n".join(captions) or None
    return table


def _hidden_line(hidden: Sequence[str], width: int) -> str:
    """The columns left out, as many by name as one line holds."""
    for n_named in range(len(hidden), -1, -1):
        named, n_more = list(hidden[:n_named]), len(hidden) - n_named
        line = f"a wider terminal also shows {', '.join([*named, *([f'{n_more} more'] if n_more else [])])}"
        if len(line) <= width:
            break
    return line


def _fitting(widths: Mapping[str, int], objectives: Sequence[str], width: int) -> list[str]:
    """The columns to show, in their order: always what says how the search goes, and of the rest what fits `width`.

    The rest are the time, the note, single accuracies and losses, the searched values, in this order. A long note is
    cut, so that it hides no number; `vgsearch show` prints it whole.
    """
    names = [name for name in widths if name in (*ALWAYS, *objectives)]
    for name in sorted(set(widths) - set(names), key=lambda name: _priority(name, list(widths))):
        left = width - sum(widths[chosen] if chosen else min(widths[""], WIDTH_OF_NOTE) for chosen in names)
        if (min(widths[""], SHORTEST_NOTE) if not name else widths[name]) <= left + 2:  # the last has no gap after it
            names.append(name)
    return [name for name in widths if name in names]


def _priority(name: str, order: Sequence[str]) -> tuple[int, int]:
    return (IF_IT_FITS.index(name) if name in IF_IT_FITS else len(IF_IT_FITS)), order.index(name)


def _columns(record: SweepRecord, trials: Sequence[TrialRecord], objectives: Sequence[str]) -> dict[str, list[str]]:
    """Head and cells of each column by its name: a fixed one, the path of a searched value, or "" for the note."""
    aims_at_s3 = any(objective.name in SCORES_OF_S3 for objective in record.objectives)
    s3 = S3_COLUMNS if aims_at_s3 or any("s3" in trial.scores for trial in trials) else ()
    fixed = ("id", "state", "step", "look", *s3, *objectives, "D-loss", "health", "time")
    domains = list(dict.fromkeys(path for trial in trials for path in trial.overrides))
    columns = {name: [name] for name in fixed} | {path: [short_name(path)] for path in domains} | {"": [""]}
    front = {trial.trial_id for trial in record.front}
    for trial in trials:
        cells = _cells(trial, trial.trial_id in front, record.objectives)
        cells |= {path: value(trial.overrides.get(path)) for path in domains}
        for name, column in columns.items():
            column.append(cells[name])
    return columns


def _empty_table(heads: Mapping[str, str], widths: Mapping[str, int], width: int, objectives: Sequence[str]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0), caption_justify="left")
    for_note = width - sum(widths[name] for name in heads if name)
    fits = for_note >= 0
    for name, head in heads.items():
        table.add_column(
            head,
            no_wrap=True,
            min_width=widths[name] - 2 if name in ("id", "state") or (name and fits) else None,
            max_width=None if name else max(for_note, SHORTEST_NOTE - 2),
            justify="right" if name in ("step", "look", "time", *objectives) else "left",
        )
    return table


def _styled(cells: Mapping[str, str], trial: TrialRecord) -> list[Text]:
    """The cells as Text: a reason may hold brackets, which rich would read as markup."""
    styles = {
        "state": COLOURS.get(trial.state, ""),
        "health": "" if trial.worst_health in ("", "ok") else "yellow",
    }
    return [Text(cell, styles.get(name, "")) for name, cell in cells.items()]


def table_lines(table: Table) -> list[Text]:
    """Head, rows and caption of `sweep_table`, one line each; rich takes ten times as long for a thousand trials."""
    columns = [
        [Text(str(column.header), "bold"), *(_as_text(cell) for cell in column.cells)] for column in table.columns
    ]
    widths = [max(cell.cell_len for cell in column) for column in columns]
    lines = []
    for cells in zip(*columns, strict=True):
        line = Text()
        for column, width, cell in zip(table.columns, widths, cells, strict=True):
            padding = " " * (width - cell.cell_len)
            line.append(padding if column.justify == "right" else "").append_text(cell)
            line.append("  " if column.justify == "right" else padding + "  ")
        line.rstrip()
        lines.append(line)
    return [*lines, *(Text(caption, "dim italic") for caption in str(table.caption or "").splitlines())]


def _as_text(cell: object) -> Text:
    return cell if isinstance(cell, Text) else Text(str(cell))


def _chosen_rows(trials: list[TrialRecord], front: Sequence[str], n_rows: int | None) -> list[TrialRecord]:
    if n_rows is None or len(trials) <= n_rows:
        return trials
    first = sorted(trials, key=lambda t: (t.trial_id not in front, t.state != "running", -t.index))
    return sorted(first[:n_rows], key=lambda trial: trial.index)


def _cells(trial: TrialRecord, on_front: bool, objectives: Sequence[Objective]) -> dict[str, str]:
    s3, accuracies = s3_cells(trial)
    beside = {
        objective.name: objective_value(objective, trial.scores, trial.score) for objective in _beside_s3(objectives)
    }
    since_start = max(time.time() - trial.started, 0.0) if trial.state == "running" else 0.0
    d_loss = sum(loss for term, loss in trial.losses.items() if term.startswith("d_")) if trial.losses else math.nan
    return {
        "id": f"{'*' if on_front else ' '}{short_id(trial.trial_id)}",
        "state": trial.state,
        "step": steps(trial),
        "look": _look(trial, objectives),
        **dict(zip(S3_COLUMNS, (s3, accuracies), strict=True)),
        **beside,
        "D-loss": number(d_loss, ".2f"),
        "health": trial.worst_health or "-",
        "time": duration(trial.seconds + since_start),
        "": note(trial),
    }


def steps(trial: TrialRecord) -> str:
    """150/200, and 14.5k/20k of a long training."""
    unit, spec = (1000, ".3g") if trial.n_steps >= LONG_TRAINING else (1, ".0f")
    k = "k" if unit > 1 else ""
    return "/".join(f"{n / unit:{spec}}{k}" for n in (trial.step, trial.n_steps))


def note(trial: TrialRecord) -> str:
    """A trial's note: why it ended, which settings its newest start changed, whether it is the paper's point."""
    changed = " ".join(f"{short_name(path)}={value(v)}" for path, v in trial.changed.items())
    again = f"retried with {changed}" if changed else ""
    return "; ".join(
        filter(None, (trial.copies, trial.reason or ("paper point" if trial.is_paper_point else ""), again))
    )


def _evidence(trial: TrialRecord) -> str:
    """Each state of the newest look with its evidence."""
    states = {} if trial.health is None else trial.health["states"]
    return "  ".join(f"{state}: {evidence}" for state, evidence in states.items())


def event_line(event: Event, record: SweepRecord) -> str:
    """One event as a line of a log; empty for events that are not shown."""
    kind, trial = event["event"].removeprefix(CONFIRM), record.trials.get(event.get("trial", ""))
    if kind == "disk_budget_reached":
        return f"stopping: {event['why']}"
    if kind == GPU_LEFT_OUT:
        return str(event["why"])
    if kind == ENOUGH:
        return enough_line(record)
    if kind == "floor":
        return floor_line(record)
    return "" if trial is None else _line_of_trial(kind, event, trial, record)


def _line_of_trial(kind: str, event: Event, trial: TrialRecord, record: SweepRecord) -> str:
    if kind == "trial_started":
        chosen = " ".join(f"{short_name(path)}={value(v)}" for path, v in event["overrides"].items())
        return f"{trial.trial_id} started{' (paper point)' if trial.is_paper_point else ''}  {chosen}"
    if kind == "look":
        line = f"{trial.trial_id} step {trial.step}/{trial.n_steps}  look {_look(trial, record.objectives)}"
        return line if trial.worst_health in ("", "ok") else f"{line}  {_evidence(trial)}"
    if kind == "checkpoints_dropped":
        return f"{trial.trial_id} lost its checkpoints ({size(event['bytes'])}): {event['why']}"
    if kind == "trial_ended":
        result = trial_result(trial, record.objectives) if trial.state == "done" else trial.reason
        return f"{trial.trial_id} {trial.state} at step {trial.step}  {result}  {duration(trial.seconds)}"
    return ""


def floor_line(record: SweepRecord) -> str:
    """The scores of an untrained generator of the paper's point, or why they are unknown."""
    floor = record.floor or Floor()
    parts = [floor.reason] if floor.reason else []
    if floor.score.s3 is not None:
        parts.append(f"S3 {interval(floor.score.s3.s3)}")
    parts += _values_beside_s3(floor.score.means, floor.score, record.objectives)
    return f"floor   {'  '.join(parts)}  (an untrained generator of the paper's point)"


def pruning_line(record: SweepRecord) -> str:
    """How many trials were pruned and what share of the training that saved; empty if none was."""
    n_pruned = record.count("pruned")
    if not n_pruned:
        return ""
    n_ended = n_pruned + record.count("done")
    return f"pruning: {n_pruned} of {n_ended} trials stopped early, {100 * record.steps_saved:.0f} % of the steps saved"


def enough_line(record: SweepRecord) -> str:
    """Why no more trials start; empty if they may."""
    return record.enough and f"no more trials start: {record.enough} (--stop-when; resume --stop-when never goes on)"


def trial_result(trial: TrialRecord, objectives: Sequence[Objective]) -> str:
    """S3 with its interval and its parts if it was measured, and the other objectives."""
    s3, accuracies = s3_cells(trial)
    parts = [f"S3 {s3}  SeR/ReS {accuracies}"] if "s3" in trial.scores else []
    return "  ".join(parts + _values_beside_s3(trial.scores, trial.score, objectives))


def s3_cells(trial: TrialRecord) -> tuple[str, str]:
    """S3 with its interval, and SeR/ReS in percent; dashes if S3 was not measured."""
    s3 = trial.score.s3
    if "s3" not in trial.scores or s3 is None:
        return "-", "-"
    ser, res = (math.nan if part is None else 100 * part.mean for part in (s3.ser, s3.res))
    return interval(s3.s3), f"{number(ser, '.1f')}/{number(res, '.1f')}"


def objective_value(objective: Objective, scores: Mapping[str, float], score: Score | None = None) -> str:
    """0.66, 310.52, 0.0031, 5m12s; with its interval if `score` has one; a dash if it was not measured."""
    if objective.name not in scores:
        return "-"
    measured = None if score is None else score.interval(objective.name)
    if measured is not None and not math.isnan(measured.low + measured.high):
        return interval(measured)
    value = objective.value_of(scores)
    return duration(value) if objective.name == COST else number(value)


def _beside_s3(objectives: Sequence[Objective]) -> list[Objective]:
    """The objectives that the columns of S3 and its parts do not show."""
    return [objective for objective in objectives if objective.name not in ("s3", "ser", "res")]


def _values_beside_s3(scores: Mapping[str, float], score: Score, objectives: Sequence[Objective]) -> list[str]:
    shown = [objective for objective in _beside_s3(objectives) if objective.name in scores]
    return [f"{objective.name} {objective_value(objective, scores, score)}" for objective in shown]


def _look(trial: TrialRecord, objectives: Sequence[Objective]) -> str:
    """ReS in percent, or minus a kernel distance."""
    return number(trial.look, ".3g") if looks_at_distance(objectives) else number(100 * trial.look, ".1f")


def best_line(record: SweepRecord) -> str:
    """best t0004 s3 0.66, or front t0001 t0004; empty before a trial is scored."""
    best, objectives = record.best, record.objectives
    if best is None:
        return ""
    if len(objectives) > 1:
        return f"front {' '.join(short_id(trial.trial_id) for trial in record.front)}"
    return f"best {short_id(best.trial_id)} {objectives[0].name} {objective_value(objectives[0], best.scores)}"


def _n_ended(record: SweepRecord) -> int:
    return sum(trial.state not in UNFINISHED for trial in record.trials.values())

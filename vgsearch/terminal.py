"""What a sweep looks like in a terminal: a live table, or one line per event where nobody watches."""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from vgsearch.ledger import ENDS, UNFINISHED, SweepRecord, TrialRecord

COLOURS = {"done": "green", "running": "cyan", "pruned": "yellow", "diverged": "red", "failed": "red"}


class SweepView:
    """Shows a sweep's record while it changes."""

    def __init__(self, console: Console, record: SweepRecord, n_trials: int, json_lines: bool = False) -> None:
        self.console, self._record, self._n_trials, self._json_lines = console, record, n_trials, json_lines
        self._began = time.monotonic()
        self._ended_before = _n_ended(record)

    @contextmanager
    def live(self) -> Iterator[None]:
        """Redraws the table twice a second on a terminal; elsewhere `tell` prints."""
        if not self.console.is_terminal or self._json_lines:
            yield
            return
        with Live(console=self.console, get_renderable=self.renderable, refresh_per_second=2):
            yield

    def tell(self, event: dict[str, Any]) -> None:
        """One line for one event, where there is no live table."""
        if self._json_lines:
            print(json.dumps(event), flush=True)
        elif not self.console.is_terminal and (line := event_line(event, self._record)):
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def renderable(self) -> Group:
        return Group(sweep_table(self._record, self.console.width), Text(self.summary(), style="dim"))

    def summary(self) -> str:
        finished = [state for state in ENDS if state not in UNFINISHED]
        told = " ".join(f"{n} {state}" for state in (*finished, "running") if (n := self._record.count(state)))
        best = self._record.best
        ended = _n_ended(self._record)
        if best:
            told += f"   best {best.trial_id[:5]} {best.s3:.2f}"
        return f"{ended}/{self._n_trials} trials   {told}   ETA {self._eta(ended)}   Ctrl-C once: save and stop"

    def _eta(self, ended: int) -> str:
        ended_here = ended - self._ended_before
        if not ended_here:
            return "-"
        return duration((time.monotonic() - self._began) / ended_here * (self._n_trials - ended))


def sweep_table(record: SweepRecord, width: int) -> Table:
    """The table of trials: state, progress, look, scores, losses and as many of the searched values as `width` holds."""
    fixed = ("id", "state", "step", "look", "S3 [95 %]", "SeR/ReS", "D-loss", "time")
    domains = list(dict.fromkeys(path for trial in record.trials.values() for path in trial.overrides))
    # A copy: the driver adds trials while the live table is drawn in a thread of its own.
    trials = sorted(list(record.trials.values()), key=lambda trial: trial.index)
    columns = {name: [name] for name in fixed} | {path: [short_name(path)] for path in domains} | {"": [""]}
    for trial in trials:
        for name, cell in (
            _cells(trial, record.best) | {path: value(trial.overrides.get(path)) for path in domains}
        ).items():
            columns[name].append(cell)
    widths = {name: max(map(len, cells)) + 2 for name, cells in columns.items()}
    shown = [*fixed, ""]
    for path in domains:
        if sum(widths[name] for name in shown) + widths[path] <= width:
            shown.insert(-1, path)
    hidden = [short_name(path) for path in domains if path not in shown]
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0), caption_justify="left")
    for name in shown:
        table.add_column(
            columns[name][0], no_wrap=True, justify="right" if name in ("step", "look", "time") else "left"
        )
    for row, trial in enumerate(trials, start=1):
        # As Text: a reason may hold brackets, which rich would read as markup.
        cells = {name: Text(columns[name][row]) for name in shown}
        cells["state"].stylize(COLOURS.get(trial.state, ""))
        table.add_row(*cells.values())
    if hidden:
        table.caption = f"a wider terminal also shows {', '.join(hidden)}"
    return table


def _cells(trial: TrialRecord, best: TrialRecord | None) -> dict[str, str]:
    s3, parts = scores(trial)
    since_start = time.time() - trial.started if trial.state == "running" else 0.0
    d_loss = sum(loss for term, loss in trial.losses.items() if term.startswith("d_")) if trial.losses else math.nan
    return {
        "id": f"{'*' if trial is best else ' '}{trial.trial_id[:5]}",
        "state": trial.state,
        "step": f"{trial.step}/{trial.n_steps}",
        "look": number(100 * trial.look, ".1f"),
        "S3 [95 %]": s3,
        "SeR/ReS": parts,
        "D-loss": number(d_loss, ".2f"),
        "time": duration(trial.seconds + since_start),
        "": trial.reason or ("paper point" if trial.is_paper_point else ""),
    }


def event_line(event: dict[str, Any], record: SweepRecord) -> str:
    """The line that tells an event to a log."""
    trial = record.trials.get(event.get("trial", ""))
    if event["event"] == "trial_started":
        chosen = " ".join(f"{short_name(path)}={value(v)}" for path, v in event["overrides"].items())
        return f"{trial.trial_id} started{' (paper point)' if trial.is_paper_point else ''}  {chosen}"
    if event["event"] == "look":
        return f"{trial.trial_id} step {trial.step}/{trial.n_steps}  look {100 * trial.look:.1f}"
    if event["event"] == "trial_ended":
        s3, parts = scores(trial)
        result = f"S3 {s3}  SeR/ReS {parts}" if trial.state == "done" else trial.reason
        return f"{trial.trial_id} {trial.state} at step {trial.step}  {result}  {duration(trial.seconds)}"
    if event["event"] == "floor":
        return floor_line(event["score"])
    return ""


def floor_line(floor: dict[str, Any]) -> str:
    """What an untrained generator of the paper's point scores, or why that is not known."""
    told = f"S3 {interval(floor['s3'])}" if "s3" in floor else floor["reason"]
    return f"floor   {told}  (an untrained generator of the paper's point)"


def scores(trial: TrialRecord) -> tuple[str, str]:
    """S3 with its interval, and SeR/ReS in percent."""
    if trial.score is None:
        return "-", "-"
    return interval(trial.score["s3"]), f"{100 * trial.score['ser']['mean']:.1f}/{100 * trial.score['res']['mean']:.1f}"


def interval(measured: dict[str, float | None]) -> str:
    """0.62 [0.58, 0.66]; a dash where a value does not exist, as the interval of one seed."""
    mean, low, high = (math.nan if measured[key] is None else measured[key] for key in ("mean", "low", "high"))
    return f"{number(mean, '.2f')} [{number(low, '.2f')}, {number(high, '.2f')}]"


def short_name(path: str) -> str:
    """model.sigma_a as sigma_a."""
    return path.rpartition(".")[2]


def value(chosen: Any) -> str:
    return "-" if chosen is None else f"{chosen:.2g}" if isinstance(chosen, float) else str(chosen)


def number(measured: float, spec: str) -> str:
    return "-" if math.isnan(measured) else format(measured, spec)


def duration(seconds: float) -> str:
    """90 as 1m30s, 5400 as 1h30m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m{whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def progress_bar(console: Console) -> Progress:
    """A bar with an estimate, for work that is counted."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=False, disable=not console.is_terminal)


@contextmanager
def counted(what: str, silent: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal's stderr, told (done, total); nothing elsewhere, or where `silent`."""
    with progress_bar(Console(stderr=True, quiet=silent)) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _n_ended(record: SweepRecord) -> int:
    return sum(trial.state not in UNFINISHED for trial in record.trials.values())

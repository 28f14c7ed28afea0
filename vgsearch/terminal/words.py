"""How values are written in terminals and reports: numbers, durations, intervals, paths, plain tables, progress bars."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from videogan.storage.places import Place, RemotePath


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


def shown(path: Place) -> str:
    """A path or an address as one would type it here."""
    path = path.absolute()
    if isinstance(path, RemotePath):
        return str(path)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def plain_table(*columns: str) -> Table:
    """A table without lines; `>` before a name aligns its column to the right."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left", vertical="top")
    return table


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

"""The format, in terminals and reports, of numbers, intervals, sizes, durations, paths, tables, progress bars."""

import math
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from vgsearch.terminal.console import Terminal
from vgsearch.terminal.verbosity import is_quiet
from videogan.metrics.interval import Interval
from videogan.storage.places import Place, RemotePath

TWO_DIGITS = 0.1
"""Values below it are written with two significant digits, others with two decimals."""
ROUNDING = 1e-9
"""Values below it are errors of arithmetic: 0.00."""


def number(measured: float | None, spec: str = "") -> str:
    """0.62, 28.72, 0.0031, or as `spec` says; a dash for None and NaN."""
    if measured is None or math.isnan(measured):
        return "-"
    return format(measured, spec or _spec(measured))


def interval(measured: Interval, sign: str = "", percent: bool = False) -> str:
    """0.62 [0.58, 0.66], its parts with as many decimals as the largest needs; 62.0 [58.1, 66.2] in percent.

    A dash for a mean or a bound that is NaN, such as the bounds of one seed. `sign`: "+" to sign positive numbers too.
    """
    if math.isnan(measured.mean):
        return "-"
    mean, low, high = _parts(measured, sign, percent)
    return f"{mean} [{low}, {high}]"


def percents(measured: Interval) -> str:
    """59 [49, 68]: an interval of shares in whole percents; a dash as in `interval`."""
    if math.isnan(measured.mean):
        return "-"
    mean, low, high = (number(100 * part, ".0f") for part in measured)
    return f"{mean} [{low}, {high}]"


def _parts(measured: Interval, sign: str, percent: bool) -> list[str]:
    spec = sign + (".1f" if percent else _spec(*measured))
    return [number(100 * part if percent else part, spec) for part in measured]


def _spec(*values: float) -> str:
    largest = max((abs(value) for value in values if not math.isnan(value)), default=1.0)
    return ".2f" if largest >= TWO_DIGITS or largest < ROUNDING else ".2g"


def size(n_bytes: float) -> str:
    """12.3 GB, 27 MB, 3 kB, 0 B."""
    for unit, factor, spec in (("GB", 1e9, ".1f"), ("MB", 1e6, ".0f"), ("kB", 1e3, ".0f")):
        if n_bytes >= factor:
            return f"{n_bytes / factor:{spec}} {unit}"
    return f"{n_bytes:.0f} B"


def short_name(path: str) -> str:
    """model.sigma_a as sigma_a."""
    return path.rpartition(".")[2]


def value(chosen: Any) -> str:
    """A setting: 5e-05, 16, svc; a dash for None. Any: settings are numbers, words or lists."""
    return "-" if chosen is None else f"{chosen:.2g}" if isinstance(chosen, float) else str(chosen)


def duration(seconds: float) -> str:
    """90 as 1m30s, 5400 as 1h30m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m{whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def shown(path: Place) -> str:
    """A path relative to the working folder if it is below it, or an address."""
    path = path.absolute()
    if isinstance(path, RemotePath):
        return str(path)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def typed(path: Place) -> str:
    """A path as `shown`, for a command that is to be copied into a shell."""
    return shlex.quote(re.sub("^-", "./-", shown(path)))


def plain_table(*columns: str) -> Table:
    """A table without lines; `>` before a name aligns its column to the right."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left", vertical="top")
    return table


def progress_bar(console: Console) -> Progress:
    """A progress bar with an estimate of the time left; nothing under -q, or if the console is not a terminal."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=False, disable=is_quiet() or not console.is_terminal)


@contextmanager
def counted(what: str, silent: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, set by calls of (done, total); nothing if stderr is not a terminal or if `silent`."""
    with progress_bar(Terminal(stderr=True, quiet=silent)) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)

"""One trial in a terminal: why it ended, its scores, what was chosen, its curve, its files."""

import math
import sys
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from vgsearch.experiment.end import KILLED
from vgsearch.experiment.ledger import SweepRecord, TrialRecord
from vgsearch.experiment.metrics_lines import whole_lines
from vgsearch.experiment.objective import looks_at_distance
from vgsearch.experiment.paths import TrialFolder
from vgsearch.experiment.score import Score
from vgsearch.experiment.scoring import notes_on_scores
from vgsearch.terminal.sweep_table import COLOURS, trial_result
from vgsearch.terminal.vitals import vitals_lines
from vgsearch.terminal.words import duration, number, short_name, shown, size, value
from videogan.amounts import n_of

BARS, ASCII_BARS = "▁▂▃▄▅▆▇█", "_.-~:=*#"
"""Of small to large values; the second where the terminal's encoding lacks the first."""
N_LOG_LINES, LETTERS_OF_LOG = 12, 200
_LABEL = 13


def print_trial(record: SweepRecord, trial: TrialRecord, folder: TrialFolder, console: Console) -> None:
    """Print what the ledger and the folder hold of the trial."""
    head = Text(f"{shown(folder.place)}   ")
    head.append(trial.state, COLOURS.get(trial.state, ""))
    head.append(f" at step {trial.step}/{trial.n_steps}   {duration(seconds_taken(trial, time.time()))}")
    if trial.state == KILLED:
        head.append("   its driver was killed; vgsearch resume continues it")
    console.print(head, soft_wrap=True)
    for label, line in _lines(record, trial, folder):
        # As Text: reasons, values and logs may hold brackets, which rich would read as markup.
        console.print(Text(f"{label:<{_LABEL}}{line}"), soft_wrap=True)


def seconds_taken(trial: TrialRecord, now: float) -> float:
    """Seconds of all its attempts; of a running one, until `now`."""
    return trial.seconds + (max(now - trial.started, 0.0) if trial.state == "running" else 0.0)  # clocks are set back


def _lines(record: SweepRecord, trial: TrialRecord, folder: TrialFolder) -> list[tuple[str, str]]:
    lines = [("why", trial.reason)] if trial.reason else []
    if trial.state == "done":
        lines.append(("scores", trial_result(trial, record.objectives)))
        front = [other.trial_id for other in record.front]
        if trial.trial_id in front:
            lines.append(("", "on the front" if len(record.objectives) > 1 else "the best of the sweep"))
        lines += [
            ("", line) for line in (*protocol_lines(trial.score), *map("note: {}".format, notes_on_scores(record)))
        ]
        lines += [("" if at else "copies", line) for at, line in enumerate(_copies_lines(trial, record))]
    if trial.parent is not None:
        lines.append(("from", f"{trial.parent['trial']} at step {trial.parent['step']}, with its weights"))
    lines += [("config", line) if not at else ("", line) for at, line in enumerate(_config_lines(record, trial))]
    lines += _curve(record, trial)
    lines += _health(trial)
    if trial.losses:
        lines.append(("losses", "  ".join(f"{name} {number(loss, '.3g')}" for name, loss in trial.losses.items())))
    return lines + _files(trial, folder)


def protocol_lines(score: Score) -> list[str]:
    """The score's protocol, and its warnings."""
    lines = []
    for part in score.parts:
        lines += [f"protocol {part.named_protocol}"] if part.named_protocol else []
        lines += [f"note: {warning}" for warning in part.warnings or ()]
    return lines


def _copies_lines(trial: TrialRecord, record: SweepRecord) -> list[str]:
    """The share of samples that copy a training window, and their distances; unknown in ledgers of earlier versions."""
    found = trial.score.copies
    if found is None:
        return ["not measured"]
    flag = "" if record.may_be_best(trial) else "; it copies, so it is not called best"
    return [
        f"{100 * found.share:.0f} % of {found.n_samples} samples (flagged above {100 * found.limit:.0f} %){flag}",
        f"distance to the nearest training window {number(found.distance)}, of real clips ({found.split}) "
        f"{number(found.real_distance)}; a copy: below {number(found.threshold)}",
        f"distance of features, divided by that of real clips: {number(found.features)}",
    ]


def changed_from_paper(trial: TrialRecord, record: SweepRecord) -> list[tuple[str, Any, Any]]:
    """(path, chosen, the paper point's) of each searched value that differs from the sweep's first paper point.

    Any: values of settings.
    """
    paper = next((other for other in record.trials.values() if other.is_paper_point), None)
    if paper is None:
        return [(path, chosen, None) for path, chosen in trial.overrides.items()]
    paths = dict.fromkeys([*trial.overrides, *paper.overrides])
    pairs = [(path, trial.overrides.get(path), paper.overrides.get(path)) for path in paths]
    return [(path, chosen, papers) for path, chosen, papers in pairs if chosen != papers]


def _config_lines(record: SweepRecord, trial: TrialRecord) -> list[str]:
    if trial.is_paper_point:
        settings = "  ".join(f"{short_name(path)} {value(chosen)}" for path, chosen in trial.overrides.items())
        return ["the paper's point", *([settings] if settings else [])]
    differing = changed_from_paper(trial, record)
    width = max((len(path) for path, _, _ in differing), default=0)
    lines = [f"{path:<{width}}  {value(chosen):<14} paper {value(papers)}" for path, chosen, papers in differing]
    same = [path for path in trial.overrides if path not in {path for path, _, _ in differing}]
    if same:
        settings = "  ".join(f"{short_name(path)} {value(trial.overrides[path])}" for path in same)
        lines.append(f"as the paper's point: {settings}")
    return lines


def sparkline(values: Sequence[float]) -> str:
    """One bar for each value, its height from the smallest to the largest; a dot for a value that is not finite."""
    bars, undefined = (BARS, "·") if _has_bars(sys.stdout.encoding) else (ASCII_BARS, "?")
    finite = [value for value in values if math.isfinite(value)]
    low, span = min(finite, default=0.0), max(finite, default=0.0) - min(finite, default=0.0)
    return "".join(
        (bars[round((value - low) / span * (len(bars) - 1))] if span else bars[0])
        if math.isfinite(value)
        else undefined
        for value in values
    )


def _has_bars(encoding: str | None) -> bool:
    try:
        BARS.encode(encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _curve(record: SweepRecord, trial: TrialRecord) -> list[tuple[str, str]]:
    if not trial.looks:
        return []
    steps = sorted(trial.looks)
    looks = [trial.looks[step] for step in steps]
    distance = looks_at_distance(record.objectives)
    first, last, best = (
        number(look, ".3g") if distance else number(100 * look, ".1f")
        for look in (looks[0], looks[-1], _largest(looks))
    )
    kind = "minus the kernel distance" if distance else "ReS %"
    at = next((step for step, look in zip(steps, looks, strict=True) if look == _largest(looks)), steps[-1])
    return [
        (
            "looks",
            f"{sparkline(looks)}  first {first}, last {last}, best {best} at step {at}   ({kind}, larger is better)",
        )
    ]


def _health(trial: TrialRecord) -> list[tuple[str, str]]:
    """The health at the newest look, with its evidence, and what the look measured."""
    if trial.health is None:
        return []
    wrong = [f"{state}: {evidence}" for state, evidence in trial.health["states"].items()] or ["ok"]
    measured = vitals_lines(trial.health["vitals"]) if trial.health["vitals"] else []
    parts = {"health": wrong, "measured": measured}
    return [("" if at else part, line) for part, lines in parts.items() for at, line in enumerate(lines)]


def _largest(looks: Sequence[float]) -> float:
    return max((look for look in looks if math.isfinite(look)), default=math.nan)


def _files(trial: TrialRecord, folder: TrialFolder) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    sizes = sorted(folder.working_copy.sizes(folder.checkpoints.name).items())
    checkpoints = [f"{name} ({size(n_bytes)})" for name, n_bytes in sizes if name.endswith(".pt")]
    if trial.checkpoints_dropped:
        lines.append(("checkpoints", f"deleted: {trial.checkpoints_dropped}"))
    if checkpoints:
        lines.append(("checkpoints", f"{shown(folder.place_of(folder.checkpoints))}: {'  '.join(checkpoints)}"))
    if folder.program.is_dir():  # whose checkpoints have names of their own
        n_bytes = sum(number for _, number in sizes)
        lines.append(
            (
                "checkpoints",
                f"{shown(folder.place_of(folder.checkpoints))}: {n_of(len(sizes), 'file')} ({size(n_bytes)})",
            )
        )
        lines.append(("program", shown(folder.place_of(folder.program))))
    if folder.samples.is_dir():
        lines.append(("samples", "  ".join(shown(folder.place_of(path)) for path in sorted(folder.samples.iterdir()))))
    rest = (("settings", folder.config), ("tensorboard", folder.tensorboard))
    lines += [(label, shown(folder.place_of(path))) for label, path in rest if path.exists()]
    if folder.log.is_file():
        newest = folder.log.read_text("utf-8", errors="replace").splitlines()[-N_LOG_LINES:]
        lines += [("log", shown(folder.place_of(folder.log))), *(("", _cut(line)) for line in newest)]
    return lines


def _cut(line: str) -> str:
    """A line of a log, which may quote whatever another library wrote."""
    n_more = len(line) - LETTERS_OF_LOG
    return line if n_more <= 0 else f"{line[:LETTERS_OF_LOG]}... ({n_more:,} more characters)"


def last_measures(folder: TrialFolder) -> dict[str, float]:
    """The newest value of each name in the trial's metrics.jsonl; empty before the first line."""
    if not folder.metrics.is_file():
        return {}
    return {name: measured for line in whole_lines(folder.metrics) for name, measured in line.items()}

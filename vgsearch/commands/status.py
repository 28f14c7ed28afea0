"""vgsearch status EXP: the table of a sweep, read from its ledger."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vgsearch.commands import options

if TYPE_CHECKING:
    from rich.console import Console

    from vgsearch.experiment.ledger import LedgerReader, SweepRecord
    from vgsearch.experiment.paths import Experiment
    from vgsearch.terminal.sweep_table import SweepView

SECONDS_BETWEEN_READINGS = 0.5
SECONDS_BETWEEN_REQUESTS = 3.0
Watch = Annotated[bool, typer.Option("--watch", help="Refresh until the sweep ends; Ctrl-C stops watching.")]


def status(experiment: options.ExperimentFolder, watch: Watch = False, json: options.Json = False) -> None:
    """Show the trials of a sweep, while it runs or after."""
    import time

    from rich.text import Text

    from vgsearch.experiment.end import KILLED
    from vgsearch.experiment.found_sweep import found_sweep
    from vgsearch.experiment.ledger import LedgerReader
    from vgsearch.experiment.paths import Experiment
    from vgsearch.experiment.scoring import notes_on_scores
    from vgsearch.terminal.console import Terminal
    from vgsearch.terminal.signal_line import search_signal_lines
    from vgsearch.terminal.sweep_table import enough_line, floor_line, pruning_line, sweep_table, table_lines
    from vgsearch.terminal.verdict import verdict
    from vgsearch.terminal.words import duration, shown, typed

    folder = Experiment.at(experiment)
    if not folder.has_events:
        raise folder.missing()
    console = Terminal()
    if watch:
        _watch(folder, LedgerReader(folder.events), console, json)
        return
    record = found_sweep(folder)
    if json:
        _print_json(record, folder)
        return
    if not record.header:
        console.print(f"{shown(folder.place)}   no events yet", soft_wrap=True)
        return
    state = f"killed; vgsearch resume {typed(folder.place)} continues it" if record.ended else "running"
    since = f"{state}; last event {duration(max(time.time() - record.last_event, 0.0))} ago"
    has_ended = record.ended not in ("", KILLED)
    header = f"{record.header['space']} ({record.header['budget']})"
    console.print(f"{shown(folder.place)}   {header}   {record.ended if has_ended else since}", soft_wrap=True)
    console.print(Text("\n").join(table_lines(sweep_table(record, console.width))), no_wrap=True, overflow="ellipsis")
    told = {
        "": [floor_line(record) if record.floor is not None else "", enough_line(record), pruning_line(record)],
        "verdict ": [verdict(record, folder.place)],
        "confirm ": [_confirmed(folder)],
    }
    for word, lines in told.items():
        for line in filter(None, lines):
            console.print(f"{word}{line}", soft_wrap=True)
    for note in notes_on_scores(record):
        console.print(f"note: {note}", style="yellow", soft_wrap=True, markup=False)
    for line in search_signal_lines(record):
        console.print(line, soft_wrap=True)


def _confirmed(folder: "Experiment") -> str:
    """What fresh seeds say, as the newest `vgsearch confirm` wrote it; empty before it."""
    import json

    path = folder.place / folder.confirm.name
    if not path.is_file():
        return ""
    try:
        written = json.loads(path.read_bytes())
        said = [str(written[name]) for name in ("verdict", "answer") if name in written]
        return "; ".join(said[:1] if said and said[0].startswith("none yet") else said)
    except (ValueError, TypeError):
        return f"{path} is damaged; vgsearch confirm makes it again"


def _watch(experiment: "Experiment", reader: "LedgerReader", console: "Console", json_lines: bool) -> None:
    """Show a live table on a terminal, or one line per event elsewhere, until the sweep or its driver ends.

    Exits with 1 if the driver is gone and the sweep has not ended.
    """
    from vgsearch.terminal.line import print_line
    from vgsearch.terminal.sweep_table import SweepView
    from vgsearch.terminal.words import shown, typed

    view = SweepView(console, reader.record, None, json_lines, on_interrupt="stop watching")
    try:
        for event in reader.follow():
            view.print_event(event)
        with view.live():
            gone = _follow(experiment, reader, view)
    except KeyboardInterrupt:
        return
    if gone:
        left = f"{shown(reader.place.parent)}: {gone} ended without a word, killed perhaps; the sweep waits for "
        print_line(f"{left}vgsearch resume {typed(reader.place.parent)}", error=True)
        raise typer.Exit(1)
    if not json_lines:
        console.print(f"{shown(reader.place.parent)}   {reader.record.ended}", soft_wrap=True)


def _follow(experiment: "Experiment", reader: "LedgerReader", view: "SweepView") -> str:
    """Print each new event until the sweep ends; returns its driver if that ended before."""
    import time

    from vgsearch.experiment.driver_signs import DriverSigns
    from vgsearch.runtime.waits.waiting import Telling, tell
    from vgsearch.terminal.words import duration

    driver, telling, heard = DriverSigns(experiment), Telling(), time.monotonic()
    while not reader.record.ended:
        time.sleep(SECONDS_BETWEEN_READINGS if isinstance(reader.place, Path) else SECONDS_BETWEEN_REQUESTS)
        now = time.monotonic()
        gone = driver.gone(now)  # before the reading: what it wrote at its end is read
        for event in reader.follow():
            view.print_event(event)
            telling, heard = Telling(), now
        if gone and not reader.record.ended:
            return gone
        if telling.is_due(now - heard):
            tell(f"no event for {duration(now - heard)}; it ends when the sweep does; Ctrl-C stops watching")
    return ""


def _print_json(record: "SweepRecord", folder: "Experiment") -> None:
    import json
    from dataclasses import asdict

    from vgsearch.experiment.scoring import notes_on_scores
    from vgsearch.experiment.signal import signal_of_search
    from vgsearch.terminal.verdict import verdict
    from videogan.storage.json_values import json_values

    state = {
        "sweep": record.header,
        "notes": notes_on_scores(record),
        "ended": record.ended,
        "floor": record.floor and record.floor.to_json(),
        "best": record.best and record.best.trial_id,
        "verdict": verdict(record, folder.place),
        "front": [trial.trial_id for trial in record.front],
        "signal": {name: json_values(asdict(noise)) for name, noise in signal_of_search(record).items()},
        "steps_saved": record.steps_saved,
        "passed_over": [trial.trial_id for trial in record.passed_over],
        "trials": [trial.to_json() for trial in record.trials.values()],
    }
    print(json.dumps(state))

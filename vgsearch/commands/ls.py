"""vgsearch ls: the experiments under a folder."""

from pathlib import Path
from typing import Annotated

import typer

from vgsearch.commands import options


def ls(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of experiments, as --out.")
    ] = options.DEFAULT_OUT,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="Only experiments with this tag. Repeatable.")
    ] = None,
    json: options.Json = False,
) -> None:
    """List the experiments under a folder, the newest first: state, best trial, age, size and tags."""
    import json as json_module
    import time

    from rich.text import Text

    from vgsearch.experiment.listing import experiments_in
    from vgsearch.terminal.console import Terminal
    from vgsearch.terminal.sweep_table import best_line
    from vgsearch.terminal.words import duration, plain_table, shown, size

    listed = [each for each in experiments_in(folder) if set(tag or ()) <= set(each.tags)]
    if json:
        print(json_module.dumps([each.to_json() for each in listed]))
        return
    console, now = Terminal(), time.time()
    if not listed:
        wanted = f" tagged {' and '.join(tag)}" if tag else ""
        console.print(f"no experiment{wanted} in {shown(folder)}", soft_wrap=True)
        return
    table = plain_table("experiment", "state", ">done", "best", ">age", ">size", "tags")
    for each in listed:
        header, record = each.record.header, each.record
        cells = [
            shown(each.experiment.place),
            each.state,
            f"{record.count('done')}/{header.get('n_trials', '-')}",
            best_line(record).removeprefix("best ") or "-",
            duration(max(now - each.last_event, 0.0)) if each.last_event else "-",
            size(each.n_bytes),
            " ".join(each.tags),
        ]
        table.add_row(*map(Text, cells))
    console.print(table)

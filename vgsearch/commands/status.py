"""vgsearch status EXP: the table of a sweep, from its ledger alone."""

from pathlib import Path
from typing import Annotated

import typer

from vgsearch.commands import options


def status(
    experiment: Annotated[Path, typer.Argument(help="Folder of the experiment, e.g. runs/mvt_tsa-001.")],
    json: options.Json = False,
) -> None:
    """Show a sweep's trials, also while it runs or from another machine."""
    import dataclasses
    import json as json_module

    from rich.console import Console

    from vgsearch.artifacts import Experiment
    from vgsearch.ledger import read_ledger
    from vgsearch.terminal import floor_line, sweep_table
    from videogan.config import ConfigurationError

    path = Experiment(experiment).ledger
    if not path.exists():
        raise ConfigurationError(f"{experiment} holds no sweep (no {path.name}); give the folder of an experiment.")
    record = read_ledger(path)
    if json:
        best = record.best
        trials = [dataclasses.asdict(trial) for trial in record.trials.values()]
        told = {"sweep": record.header, "ended": record.ended, "floor": record.floor, "best": best and best.trial_id}
        front = [trial.trial_id for trial in record.front]
        print(json_module.dumps({**told, "front": front, "trials": trials}))
        return
    # Where nobody watches there is no width to fit.
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200
    header = record.header
    console.print(f"{experiment}   {header['space']} ({header['budget']})   {record.ended or 'running, or cut off'}")
    console.print(sweep_table(record, console.width))
    if record.floor is not None:
        console.print(floor_line(record))

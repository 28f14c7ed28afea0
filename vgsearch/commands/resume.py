"""vgsearch resume EXP: go on after Ctrl-C."""

from pathlib import Path
from typing import Annotated

import typer

from vgsearch.commands import options


def resume(
    experiment: Annotated[Path, typer.Argument(help="Folder of the experiment, e.g. runs/mvt_tsa-001.")],
    address: options.Address = None,
    json: options.Json = False,
) -> None:
    """Go on with an interrupted sweep: finished trials stay, unfinished ones continue from their newest checkpoints."""
    from vgsearch.runtime.launch import resume as resume_sweep

    resume_sweep(experiment, address=address, json_lines=json)

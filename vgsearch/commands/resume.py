"""vgsearch resume EXP: go on after Ctrl-C, a crash or a preemption."""

from pathlib import Path
from typing import Annotated

import typer

from vgsearch.commands import options

Trials = Annotated[
    str | None, typer.Option("--trials", help="+16 for 16 more than the sweep has, 48 for as many in all.")
]
Retry = Annotated[
    str,
    typer.Option(
        "--retry",
        help="failed: try failed trials again, from their newest checkpoints; diverged: those from the start, with other "
        "seeds; none.",
    ),
]


def resume(
    experiment: Annotated[Path, typer.Argument(help="Folder of the experiment, e.g. runs/mvt_tsa-001.")],
    trials: Trials = None,
    retry: Retry = "none",
    address: options.Address = None,
    json: options.Json = False,
) -> None:
    """Go on with a sweep: finished trials stay, unfinished ones continue from their newest checkpoints."""
    from vgsearch.runtime.sweep.launch import resume as resume_sweep

    resume_sweep(experiment, trials=trials, retry=retry, address=address, json_lines=json)

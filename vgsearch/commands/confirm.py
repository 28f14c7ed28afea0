"""vgsearch confirm EXP: train the best points again."""

from pathlib import Path
from typing import Annotated

import typer

from vgsearch.commands import options


def confirm(
    experiment: Annotated[Path, typer.Argument(help="Folder of the experiment, e.g. runs/mvt_tsa-001.")],
    top: Annotated[int, typer.Option("--top", min=1, help="How many of the best trials.")] = 3,
    seeds: Annotated[int, typer.Option("--seeds", help="Fresh training seeds for each, from 2 to 10.")] = 5,
    address: options.Address = None,
    json: options.Json = False,
) -> None:
    """Train the best trials' points and the paper's again, with seeds that the search did not use, and compare them.

    Intervals are Student's 95 % over the training seeds, the comparison with the paper's point is paired by seed. An
    interrupted confirmation goes on with the same command; the result is written to EXP/confirm.json.
    """
    from vgsearch.runtime.sweep.confirm import confirm as confirm_points

    confirm_points(experiment, top, seeds, address=address, json_lines=json)

"""vgsearch flow: the optical flow network of the motion constraint."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vgsearch.commands import options

if TYPE_CHECKING:
    from videogan.flow.recipe import FlowRecipe

app = typer.Typer(no_args_is_help=True)


@app.callback()
def flow() -> None:
    """Fit the optical flow network that the motion constraint uses."""


@app.command("fit")
def fit(
    budget: Annotated[
        str, typer.Option("--budget", metavar="NAME", help="Size of the fit: smoke, laptop or paper.")
    ] = "laptop",
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Set one value of the recipe, e.g. width=0.5 or pairs.size=128. Repeatable.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder to write, or to continue in. Default: runs/flow-NAME."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Fit PWC-Net on generated frame pairs with known flow, and print its errors on held-out pairs.

    The errors are compared with those of zero flow and of the flow that needs no weights.
    Writes flow.pt (weights), flow.png (pictures) and flow.json (all numbers).
    After an interruption, the same command continues.
    """
    from vgsearch.flow_fit.fit import fit_into
    from vgsearch.flow_fit.progress import FitView
    from vgsearch.terminal.console import Terminal
    from vgsearch.terminal.words import shown

    recipe, console = _recipe(budget, overrides or []), Terminal()
    folder = out or options.DEFAULT_OUT / f"flow-{budget}"
    try:
        fit_into(folder, recipe, FitView(console, recipe, json))
    except KeyboardInterrupt:
        Terminal(stderr=True).print(f"stopped; the same command continues in {shown(folder)}", soft_wrap=True)
        sys.exit(130)


def _recipe(budget: str, overrides: list[str]) -> "FlowRecipe":
    from vgsearch.space.space import parse_overrides
    from videogan.config import ConfigurationError, parse_config, suggestion, with_overrides
    from videogan.flow.recipe import RECIPES, FlowRecipe

    if budget not in RECIPES:
        raise ConfigurationError(f"--budget: '{budget}' is not a budget{suggestion(budget, list(RECIPES))}")
    values = with_overrides(RECIPES[budget].model_dump(), parse_overrides(overrides))
    return parse_config(FlowRecipe, values, "--set")

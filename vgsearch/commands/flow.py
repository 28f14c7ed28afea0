"""`vgsearch flow`: the network whose optical flow the motion constraint compares."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vgsearch.commands import options

if TYPE_CHECKING:
    from videogan.flow.recipe import FlowRecipe

app = typer.Typer(no_args_is_help=True, help="Optical flow: fit PWC-Net on generated pairs.")


@app.callback()
def flow() -> None:
    """Optical flow: fit PWC-Net on generated pairs."""


@app.command("fit")
def fit(
    budget: options.BudgetName = "laptop",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="path=value in the recipe, e.g. width=0.5 or pairs.size=128.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write, and to go on in; by default runs/flow-<budget>.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Fit PWC-Net on generated pairs of frames whose flow is known exactly; print its errors on held-out ones.

    The same command goes on after Ctrl-C or a crash. Errors stand beside those of no motion and of the flow without
    weights; flow.pt holds the weights, flow.png shows flows, flow.json tells all.
    """
    from rich.console import Console

    from vgsearch.flow_fit.fit import fit_into
    from vgsearch.flow_fit.progress import FitView
    from vgsearch.terminal.words import shown

    recipe, console = _recipe(budget, overrides or []), Console()
    folder = out or options.DEFAULT_OUT / f"flow-{budget}"
    try:
        fit_into(folder, recipe, FitView(console, recipe, json))
    except KeyboardInterrupt:
        Console(stderr=True).print(f"stopped; the same command goes on in {shown(folder)}", soft_wrap=True)
        sys.exit(130)


def _recipe(budget: str, overrides: list[str]) -> "FlowRecipe":
    from vgsearch.space.space import parse_override
    from videogan.config import ConfigurationError, parse_config, suggestion, with_overrides
    from videogan.flow.recipe import RECIPES, FlowRecipe

    if budget not in RECIPES:
        raise ConfigurationError(f"--budget: there is no '{budget}'{suggestion(budget, list(RECIPES))}")
    values = with_overrides(RECIPES[budget].model_dump(), dict(map(parse_override, overrides)))
    return parse_config(FlowRecipe, values, "--set")

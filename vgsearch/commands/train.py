"""vgsearch train SPACE: one training run, no search."""

from typing import Annotated

import typer

from vgsearch.commands import options
from vgsearch.commands.tune import tune


def train(
    space: Annotated[str, typer.Argument(help="A name from `vgsearch spaces`, or the path of a YAML file.")],
    data: options.Data = None,
    budget: options.BudgetName = "laptop",
    overrides: options.Overrides = None,
    out: options.Out = options.DEFAULT_OUT,
    name: options.Name = None,
    seed: options.Seed = 0,
    workers_per_trial: options.Workers = 1,
    gpus_per_worker: options.Gpus = None,
    address: options.Address = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Train the paper's point of a space once, with what --set changes, and score it: an experiment with one trial."""
    tune(
        space,
        data=data,
        budget=budget,
        overrides=overrides,
        out=out,
        name=name,
        trials=1,
        seed=seed,
        workers_per_trial=workers_per_trial,
        gpus_per_worker=gpus_per_worker,
        address=address,
        dry_run=dry_run,
        json=json,
    )

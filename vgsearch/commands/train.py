"""vgsearch train SPACE: one training run, no search."""

from typing import Annotated

import typer

from vgsearch.commands import options

Point = Annotated[
    str | None,
    typer.Option("--point", metavar="NAME", help="One of the points `vgsearch spaces` names; else the first."),
]


def train(
    space: Annotated[str, typer.Argument(help="A name from `vgsearch spaces`, or the path of a YAML file.")],
    point: Point = None,
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
    """Train a paper's point of a space once, with what --set changes, and score it: an experiment with one trial."""
    from vgsearch.runtime.sweep.launch import SweepRequest, launch

    launch(
        SweepRequest(
            space=space,
            data=data,
            budget=budget,
            overrides=overrides or [],
            out=out,
            name=name,
            n_trials=1,
            seed=seed,
            n_workers=workers_per_trial,
            gpus_per_worker=gpus_per_worker,
            max_concurrent=None,
            time_budget=None,
            point=point,
        ),
        address=address,
        dry_run=dry_run,
        json_lines=json,
    )

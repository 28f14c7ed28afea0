"""vgsearch tune SPACE: search."""

from pathlib import Path
from typing import Annotated

import typer

from vgsearch.commands import options

Trials = Annotated[int | None, typer.Option("--trials", min=1, help="Number of trials; by default the budget's.")]

Seeds = Annotated[
    int,
    typer.Option("--seeds-per-trial", min=1, max=10, help="Trainings of each point; their mean is its score."),
]
Storage = Annotated[
    str | None,
    typer.Option("--storage", help="Optuna's study: postgresql://user@host/db or FILE.journal; else its own file."),
]
WarmStart = Annotated[
    list[Path] | None,
    typer.Option(
        "--warm-start", help="Earlier experiment with the same protocol, whose trials are known at the start."
    ),
]


def tune(
    space: Annotated[str, typer.Argument(help="A name from `vgsearch spaces`, or the path of a YAML file.")],
    data: options.Data = None,
    budget: options.BudgetName = "laptop",
    overrides: options.Overrides = None,
    out: options.Out = options.DEFAULT_OUT,
    name: options.Name = None,
    trials: Trials = None,
    seed: options.Seed = 0,
    workers_per_trial: options.Workers = 1,
    gpus_per_worker: options.Gpus = None,
    max_concurrent: options.MaxConcurrent = None,
    seeds_per_trial: Seeds = 1,
    time_budget: options.TimeBudget = None,
    disk_budget: options.DiskBudget = None,
    keep: options.Keep = 2,
    storage: Storage = None,
    warm_start: WarmStart = None,
    address: options.Address = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Search which hyperparameters make a video GAN better.

    SPACE is a name in search_spaces/ (mvt_tsa) or the path of a YAML file. The paper's own point is always trial t0000.
    """
    from vgsearch.runtime.sweep.launch import SweepRequest, launch

    launch(
        SweepRequest(
            space=space,
            data=data,
            budget=budget,
            overrides=overrides or [],
            out=out,
            name=name,
            n_trials=trials,
            seed=seed,
            n_workers=workers_per_trial,
            gpus_per_worker=gpus_per_worker,
            max_concurrent=max_concurrent,
            time_budget=time_budget,
            seeds_per_trial=seeds_per_trial,
            disk_budget=disk_budget,
            keep=keep,
            storage=storage,
            warm_start=tuple(warm_start or ()),
        ),
        address=address,
        dry_run=dry_run,
        json_lines=json,
    )

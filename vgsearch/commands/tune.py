"""vgsearch tune SPACE: search."""

from pathlib import Path
from typing import Annotated

import typer

from vgsearch.commands import options

Trials = Annotated[
    int | None, typer.Option("--trials", metavar="N", min=1, help="Number of trials. Default: the budget's.")
]
Seeds = Annotated[
    int,
    typer.Option(
        "--seeds-per-trial",
        metavar="N",
        min=1,
        max=10,
        help="Trainings of each point; their mean is its score. From 2, the result says how much of it is retraining.",
    ),
]
Prunes = Annotated[
    bool,
    typer.Option(
        "--pruning/--no-pruning",
        help="Without pruning every trial is trained to its end: for vgsearch replay, which compares pruners.",
    ),
]
Racing = Annotated[
    bool,
    typer.Option(
        "--racing",
        help="With --seeds-per-trial: train further seeds only of points whose interval overlaps the best's so far.",
    ),
]
ConfirmBest = Annotated[
    bool | None,
    typer.Option(
        "--confirm-best/--no-confirm-best",
        help="At the end, train the best point and the paper's again on fresh seeds, and say which to use. "
        "Default: on at the budgets laptop and paper.",
        show_default=False,
    ),
]
Keep = Annotated[
    int,
    typer.Option(
        "--keep", metavar="N", min=2, help="Number of newest checkpoints to keep per trial, in addition to its best."
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL|FILE",
        help="Where Optuna keeps the study: postgresql://user@host/db or FILE.journal. "
        "Default: the experiment's folder.",
    ),
]
WarmStart = Annotated[
    list[Path] | None,
    typer.Option(
        "--warm-start",
        metavar="EXP",
        help="An earlier experiment under the same protocol; the search starts with its finished trials. Repeatable.",
    ),
]


SearchFolds = Annotated[
    int | None,
    typer.Option(
        "--folds",
        metavar="K",
        min=2,
        max=10,
        help="For data with few groups: search on fold 1 of K, whose training groups also give the select split; "
        "then confirm --folds K tests every group.",
    ),
]


def tune(
    space: options.Space,
    point: options.Point = None,
    data: options.Data = None,
    folds: SearchFolds = None,
    one_per_class: options.OnePerClass = False,
    budget: options.BudgetName = "laptop",
    overrides: options.Overrides = None,
    classifier_weights: options.ClassifierWeights = None,
    out: options.Out = options.DEFAULT_OUT,
    name: options.Name = None,
    tags: options.Tags = None,
    n_trials: Trials = None,
    seed: options.Seed = 0,
    n_workers: options.Workers = 1,
    gpus_per_worker: options.Gpus = None,
    max_concurrent: options.MaxConcurrent = None,
    seeds_per_trial: Seeds = 1,
    racing: Racing = False,
    prunes: Prunes = True,
    confirm_best: ConfirmBest = None,
    time_budget: options.TimeBudget = None,
    gpu_hours: options.GpuHours = None,
    stop_when: options.StopWhen = None,
    disk_budget: options.DiskBudget = None,
    keep: Keep = 2,
    log: options.Log = None,
    storage: Storage = None,
    warm_start: WarmStart = None,
    address: options.Address = None,
    insecure: options.Insecure = False,
    dry_run: options.DryRun = False,
    prices: options.Prices = None,
    json: options.Json = False,
) -> None:
    """Search for the best hyperparameters of a video GAN.

    The first trial, t0000, is the paper's own point.
    """
    options.start_sweep(**locals())

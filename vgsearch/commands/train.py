"""vgsearch train SPACE: one training run, no search."""

from typing import Annotated

import typer

from vgsearch.commands import options

OnePoint = Annotated[
    str | None,
    typer.Option(
        "--point",
        metavar="NAME",
        help="A paper point or data set of the space, see `vgsearch spaces`. Default: the first of its points, and the "
        "data set that was imported.",
    ),
]


def train(
    space: options.Space,
    point: OnePoint = None,
    data: options.Data = None,
    folds: options.Folds = None,
    one_per_class: options.OnePerClass = False,
    budget: options.BudgetName = "laptop",
    overrides: options.Overrides = None,
    classifier_weights: options.ClassifierWeights = None,
    out: options.Out = options.DEFAULT_OUT,
    name: options.Name = None,
    tags: options.Tags = None,
    seed: options.Seed = 0,
    n_workers: options.Workers = 1,
    gpus_per_worker: options.Gpus = None,
    address: options.Address = None,
    insecure: options.Insecure = False,
    dry_run: options.DryRun = False,
    prices: options.Prices = None,
    json: options.Json = False,
) -> None:
    """Train one point of a space, by default the paper's, and score it: a sweep of one trial.

    --set changes the point.
    """
    given = locals()
    if folds is None:
        options.start_sweep(**given, n_trials=1)
    else:
        options.train_on_folds(**given | {"folds": None}, n_trials=1, n_folds=folds)

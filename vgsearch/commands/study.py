"""vgsearch study SPACE: the paper's points of a space side by side."""

import shlex
from typing import Annotated

import typer

from vgsearch.commands import options

Table = Annotated[
    str,
    typer.Argument(
        metavar="SPACE",
        help="table2 (MVT-GAN's variants), table3 (the models of TGAN's Table 3), table4 (TGAN's critics), or any space "
        "with several paper points.",
    ),
]
Gam = Annotated[
    bool,
    typer.Option(
        "--gam",
        help="At the end, compare the first point with each other one by the adversarial metric (gam), each by its "
        "first seed.",
    ),
]
Fakes = Annotated[
    int | None,
    typer.Option("--fakes", metavar="N", min=2, help="Clips that each generator makes for --gam (default: 1000)."),
]
Seeds = Annotated[int, typer.Option("--seeds", metavar="N", min=2, max=10, help="Trainings of each point.")]


def study(
    space: Table,
    data: options.Data = None,
    one_per_class: options.OnePerClass = False,
    gam: Gam = False,
    fakes: Fakes = None,
    seeds_per_trial: Seeds = 5,
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
    """Train each of the paper's points with several seeds, score them on the test clips, and compare them.

    No point is pruned, and each is compared with the first. vgsearch resume continues an interrupted study.
    """
    given = locals()
    from vgsearch.space.space import load_space
    from videogan.config import ConfigurationError

    n_points = len(load_space(space).paper_points)
    if n_points < 2:
        raise ConfigurationError(
            f"{space} has one paper point, nothing to compare; use vgsearch train {shlex.quote(space)}."
        )
    if gam and one_per_class:
        raise ConfigurationError("--gam compares single generators; leave out --one-per-class.")
    if fakes is not None and not gam:
        raise ConfigurationError("--fakes is for the adversarial metric; add --gam.")
    fixed = {"n_trials": n_points, "prunes": False, "scored": "test", "confirm_best": False}
    del given["gam"], given["fakes"]
    experiment = options.start_sweep(**given | fixed)
    if gam and experiment is not None:
        from vgsearch.runtime.judging.points import first_against_others

        first_against_others(experiment, n_points, fakes, address, json)

"""The options that several commands share, and the start of a sweep from those of tune and train."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from videogan.storage.places import Place

DEFAULT_OUT = Path("runs")
LARGEST_SEED = 2**32 - 1
"""Of the command line; the seeds of trials, retries and confirmations are above it, and still far below 2^64."""


def _names_of_spaces() -> list[str]:
    """For the completion in a shell."""
    from vgsearch.space.space import installed_spaces

    return list(installed_spaces())


Space = Annotated[
    str,
    typer.Argument(
        metavar="SPACE", help="A name from `vgsearch spaces`, or a YAML file.", autocompletion=_names_of_spaces
    ),
]
ExperimentFolder = Annotated[
    Path, typer.Argument(metavar="EXP", help="Folder of the experiment, e.g. runs/mvt_tsa-001.")
]
Point = Annotated[
    str | None,
    typer.Option(
        "--point",
        metavar="NAME",
        help="A paper point or data set of the space, see `vgsearch spaces`. Default: all of its points, and the data "
        "set that was imported.",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of an imported data set. Default: generated moving shapes."),
]
BudgetName = Annotated[
    str, typer.Option("--budget", metavar="NAME", help="A budget that `vgsearch spaces` lists, such as smoke.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Set one value of the configuration, e.g. model.sigma_a=0.3. Repeatable."
    ),
]
Out = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder of all experiments, local or s3://bucket/path.")
]
Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="Name of the experiment. Default: SPACE-001 and so on.")
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="TAG", help="A word by which `vgsearch ls --tag` finds the experiment. Repeatable."),
]
OnePerClass = Annotated[
    bool,
    typer.Option(
        "--one-per-class",
        help="For models without labels: train one generator for each class, and score them together by S3. "
        "Costs as many trainings per trial as there are classes.",
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        "--folds",
        metavar="K",
        min=2,
        max=10,
        help="For data with few groups: divide them into K folds; every group is tested once, by K trainings a point.",
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="N",
        min=0,
        max=LARGEST_SEED,
        help="Random seed of the search; trial K trains with seed N + K.",
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        "--workers-per-trial", metavar="N", min=1, help="Data-parallel workers per trial; 1 trains in the trial itself."
    ),
]
Gpus = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-worker",
        metavar="N",
        min=0,
        help="GPUs per worker. Default: 1, or a part of one that a small network fills; 0 without GPUs.",
    ),
]
OtherWorkers = Annotated[
    int | None,
    typer.Option(
        "--workers-per-trial", metavar="N", min=1, help="Workers per trial from now on. Default: as the sweep has them."
    ),
]
OtherGpus = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-worker", metavar="N", min=0, help="GPUs per worker from now on. Default: as the sweep has them."
    ),
]
ClassifierWeights = Annotated[
    Path | None,
    typer.Option(
        "--classifier-weights",
        metavar="FILE",
        help="Initial weights of the classifiers; fid, fvd and kvd do not train them further.",
    ),
]
DiskBudget = Annotated[
    str | None,
    typer.Option(
        "--disk-budget",
        metavar="SIZE",
        help="Maximum disk space for checkpoints, e.g. 50G or 0.3GiB. "
        "When exceeded, checkpoints of the worst trials are deleted.",
    ),
]
TimeBudget = Annotated[
    str | None,
    typer.Option("--time-budget", metavar="TIME", help="Save and stop after this time, e.g. 8h, 1h30m or 90m."),
]
GpuHours = Annotated[
    float | None,
    typer.Option(
        "--gpu-hours",
        metavar="N",
        help="Save and stop when the trials, in all attempts, have taken N hours times GPUs.",
    ),
]
MaxConcurrent = Annotated[
    int | None,
    typer.Option("--max-concurrent", metavar="N", min=1, help="Maximum number of trials to run in parallel."),
]
StopWhen = Annotated[
    str | None,
    typer.Option(
        "--stop-when",
        metavar="CONDITION",
        help="Start no more trials after no-improvement:10 (ended trials) or at target:0.8 (score); or never.",
    ),
]
Log = Annotated[
    list[str] | None,
    typer.Option(
        "--log",
        metavar="mlflow|wandb|trackio",
        help="Also log each trial as a run of this tracker, from now on. Repeatable; resume --log none ends it.",
    ),
]
ReportsFolder = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="Write the Markdown and its figures to DIR/NAME/ instead of EXP/report/."
    ),
]
ComparisonFolder = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Write the report to DIR/NAME/. Default: beside the first experiment."),
]
Opens = Annotated[bool, typer.Option("--open", help="Open the page in the browser.")]
Address = Annotated[
    str | None,
    typer.Option(
        "--address", metavar="ADDRESS", help="A running Ray cluster. Default: RAY_ADDRESS, else a local cluster."
    ),
]


def _refuse_no_token(insecure: bool) -> bool:
    from vgsearch.runtime.cluster.token import refuse_no_token

    refuse_no_token(insecure)
    return insecure


Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure",
        callback=_refuse_no_token,
        help="Accept RAY_AUTH_MODE=disabled: whoever reaches Ray's ports can run code as you.",
    ),
]
"""Of each command that starts or joins a Ray. Reading it refuses a Ray without a token; no command uses its value."""
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Only print a forecast: parameters, memory, FLOPs, disk space, and at full size hours on named GPUs.",
    ),
]
Prices = Annotated[
    list[str] | None,
    typer.Option(
        "--price",
        metavar="GPU=AMOUNT",
        help="With --dry-run: what an hour of a GPU costs, as H100=2.5, to tell what the sweep costs. Repeatable.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]


def told_checkpoint(where: "Place") -> "Place":
    """The checkpoint file that a user means; of a trial that is not done, prints which one it is and why."""
    from vgsearch.experiment.chosen_checkpoint import found_checkpoint
    from vgsearch.terminal.line import print_line

    found, why = found_checkpoint(where)
    if why:
        print_line(f"note: {why}", error=True)
    return found


def start_sweep(address: str | None, dry_run: bool, json: bool, **options: Any) -> "Place | None":
    """Run the sweep that a command's options describe; returns its place, None after a dry run.

    `options` holds the fields of SweepRequest by name, and `insecure`; None leaves a field at its default. The commands
    name their parameters after the fields, so that they pass `**locals()`.
    """
    from vgsearch.space.space import load_space

    # Refuse a wrong name or file at once: the next import loads Ray and torch, which takes seconds.
    load_space(options["space"])
    from vgsearch.runtime.sweep.confirm import confirm_best
    from vgsearch.runtime.sweep.launch import launch
    from vgsearch.runtime.sweep.request import SweepRequest

    given = _given(options)
    experiment = launch(SweepRequest(**given), address=address, dry_run=dry_run, json_lines=json)
    if experiment is not None:
        confirm_best(experiment, address, json)
    return experiment


def train_on_folds(n_folds: int, address: str | None, dry_run: bool, json: bool, **options: Any) -> None:
    """Train one point on each of `n_folds` folds; `options` as of `start_sweep`."""
    from vgsearch.space.space import load_space

    load_space(options["space"])
    from vgsearch.runtime.sweep.folds import train_on_folds
    from vgsearch.runtime.sweep.request import SweepRequest

    given = _given(options)
    train_on_folds(SweepRequest(**given), n_folds, address=address, dry_run=dry_run, json_lines=json)


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of SweepRequest that are not left at their defaults."""
    return {name: value for name, value in options.items() if value is not None and name != "insecure"}

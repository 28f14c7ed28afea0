"""The options that several commands share, each spelled once."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_OUT = Path("runs")
Data = Annotated[
    Path | None, typer.Option("--data", help="Imported data set; without it moving-shapes is made and used.")
]
BudgetName = Annotated[str, typer.Option("--budget", help="smoke, laptop or paper.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="path=value in the run's configuration, e.g. model.sigma_a=0.3.")
]
Out = Annotated[Path, typer.Option("--out", help="Folder of experiments.")]
Name = Annotated[str | None, typer.Option("--name", help="Name of the experiment; by default <space>-<nnn>.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the proposals and of the trials.")]
Workers = Annotated[int, typer.Option("--workers-per-trial", min=1, help="Ray Train workers (DDP) a trial.")]
Gpus = Annotated[
    float | None, typer.Option("--gpus-per-worker", min=0, help="By default 1 where the cluster has GPUs, else 0.")
]
MaxConcurrent = Annotated[int | None, typer.Option("--max-concurrent", min=1, help="Most trials side by side.")]
TimeBudget = Annotated[str | None, typer.Option("--time-budget", help="Save and stop after, e.g., 8h or 30m.")]
ExperimentFolder = Annotated[
    Path, typer.Argument(metavar="EXP", help="Folder of the experiment, e.g. runs/mvt_tsa-001.")
]
DEFAULT_REPORTS = Path("reports")
ReportsFolder = Annotated[Path, typer.Option("--out", help="Folder of reports: <out>/<name>/README.md and figures.")]
DiskBudget = Annotated[
    str | None,
    typer.Option("--disk-budget", help="Most disk for checkpoints, e.g. 50GB; the worst trials lose theirs."),
]
Keep = Annotated[int, typer.Option("--keep", min=2, help="Newest checkpoints kept of each trial, beside its best.")]
Address = Annotated[
    str | None, typer.Option("--address", help="Running Ray cluster (also RAY_ADDRESS); else a local one.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only forecast parameters, memory, FLOPs and disk.")]
Json = Annotated[bool, typer.Option("--json", help="Output for programs.")]

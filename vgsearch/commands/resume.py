"""vgsearch resume EXP: continue after Ctrl-C, a crash or a preemption."""

from pathlib import Path
from typing import Annotated

import typer

from vgsearch.commands import options

Trials = Annotated[
    str | None, typer.Option("--trials", metavar="[+]N", help="+16 adds 16 trials; 48 makes it 48 in total.")
]
MovedData = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Where the same data set is now, if it was moved.")
]
Retry = Annotated[
    str,
    typer.Option(
        "--retry",
        metavar="failed|diverged|none",
        help="failed: retry failed trials from their newest checkpoints. "
        "diverged: restart diverged trials with new seeds.",
    ),
]


def resume(
    experiment: options.ExperimentFolder,
    trials: Trials = None,
    retry: Retry = "none",
    n_workers: options.OtherWorkers = None,
    gpus_per_worker: options.OtherGpus = None,
    data: MovedData = None,
    max_concurrent: options.MaxConcurrent = None,
    time_budget: options.TimeBudget = None,
    gpu_hours: options.GpuHours = None,
    stop_when: options.StopWhen = None,
    disk_budget: options.DiskBudget = None,
    log: options.Log = None,
    address: options.Address = None,
    insecure: options.Insecure = False,
    json: options.Json = False,
) -> None:
    """Continue a sweep: finished trials stay, unfinished ones resume from their newest checkpoints."""
    from vgsearch.runtime.sweep.confirm import confirm_best
    from vgsearch.runtime.sweep.launch import resume as resume_sweep
    from vgsearch.runtime.sweep.moving import OtherSettings, OtherWorkers

    workers = OtherWorkers(n_workers, gpus_per_worker)
    settings = OtherSettings.of_options(
        data, max_concurrent, time_budget, gpu_hours, stop_when, disk_budget, log or None
    )
    resume_sweep(experiment, trials, retry, address, json, workers, settings)
    confirm_best(experiment, address, json)

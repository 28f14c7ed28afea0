"""vgsearch resume EXP: continue after Ctrl-C, a crash or a preemption."""

from typing import Annotated

import typer

from vgsearch.commands import options

Trials = Annotated[
    str | None, typer.Option("--trials", metavar="[+]N", help="+16 adds 16 trials; 48 makes it 48 in total.")
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
    address: options.Address = None,
    insecure: options.Insecure = False,
    json: options.Json = False,
) -> None:
    """Continue a sweep: finished trials stay, unfinished ones resume from their newest checkpoints."""
    from vgsearch.runtime.sweep.confirm import confirm_best
    from vgsearch.runtime.sweep.launch import resume as resume_sweep
    from vgsearch.runtime.sweep.moving import OtherWorkers

    workers = OtherWorkers(n_workers, gpus_per_worker)
    resume_sweep(experiment, trials=trials, retry=retry, address=address, json_lines=json, workers=workers)
    confirm_best(experiment, address, json)

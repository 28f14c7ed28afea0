"""vgsearch confirm EXP: train the best points again with new seeds."""

from typing import Annotated

import typer

from vgsearch.commands import options


def confirm(
    experiment: options.ExperimentFolder,
    top: Annotated[int, typer.Option("--top", metavar="N", min=1, help="Number of best trials to confirm.")] = 3,
    seeds: Annotated[
        int, typer.Option("--seeds", metavar="N", help="Number of new training seeds per point, from 2 to 10.")
    ] = 5,
    folds: options.Folds = None,
    n_workers: options.OtherWorkers = None,
    gpus_per_worker: options.OtherGpus = None,
    address: options.Address = None,
    insecure: options.Insecure = False,
    json: options.Json = False,
) -> None:
    """Retrain the best points and the paper's point with new seeds, and compare them on the test clips.

    Intervals are Student's 95 % over training seeds; each point is compared with the paper's seed by seed.
    A last line says how much of the score's variance is between points, and how much is retraining them.
    After an interruption, the same command continues.
    The result is written to EXP/confirm.json.
    """
    from vgsearch.runtime.sweep.confirm import confirm as confirm_points
    from vgsearch.runtime.sweep.moving import OtherWorkers

    workers = OtherWorkers(n_workers, gpus_per_worker)
    confirm_points(experiment, top, seeds, folds or 0, address=address, json_lines=json, workers=workers)

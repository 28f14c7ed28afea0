"""vgsearch evaluate: scores of a checkpoint, of videos of any other program, or of clips whose worth is known."""

from pathlib import Path
from typing import Annotated

import typer

from vgsearch.commands import options


def evaluate(
    checkpoint: Annotated[
        Path | None, typer.Argument(metavar="[CKPT]", help="A file such as .../checkpoints/step00001000.pt.")
    ] = None,
    videos: Annotated[
        Path | None, typer.Option(help="Instead: DIR/<class>/*.mp4, made by any program; needs --data.")
    ] = None,
    ladder: Annotated[
        Path | None, typer.Option(metavar="DATA", help="Instead: the calibration ladder of a data set.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Data set to judge by; by default the one the checkpoint was trained on.")
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="s3, is, fid, fvd, kvd, blind_spots, gam, or protocols such as s3_tsn_laptop_v1, comma separated."
        ),
    ] = None,
    against: Annotated[Path | None, typer.Option(metavar="CKPT", help="The other model of gam.")] = None,
    budget: Annotated[
        str | None, typer.Option(help="Scale of the protocols: smoke, laptop or paper; a checkpoint brings its own.")
    ] = None,
    preprocessing: Annotated[
        str | None, typer.Option(help="Of --videos and --ladder, by name. Default: plain_32, at paper scale plain_96.")
    ] = None,
    classifier_weights: Annotated[
        Path | None, typer.Option(help="Initial weights of the classifier; distances take it as it is.")
    ] = None,
    workers: options.Workers = 1,
    gpus_per_worker: options.Gpus = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results. Default: beside the checkpoint, else runs/evaluations.")
    ] = None,
    address: options.Address = None,
    json: options.Json = False,
) -> None:
    """Score a checkpoint, or videos of any other program; or learn from --ladder what a score means.

    Scores compare only under one protocol on one data set: its digest is printed with each number.
    """
    from vgsearch.evaluation_plan import Request
    from vgsearch.runtime.evaluate import evaluate

    evaluate(
        Request(
            checkpoint=checkpoint,
            videos=videos,
            ladder=ladder,
            data=data,
            metrics=metrics,
            against=against,
            budget=budget,
            preprocessing=preprocessing,
            classifier_weights=classifier_weights,
            n_workers=workers,
            gpus_per_worker=gpus_per_worker,
            out=out,
        ),
        address=address,
        as_json=json,
    )

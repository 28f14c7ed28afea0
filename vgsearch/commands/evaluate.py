"""vgsearch evaluate: scores of a checkpoint, of videos of any other program, or of clips whose worth is known."""

from pathlib import Path
from typing import Annotated

import typer

from vgsearch.commands import options


def evaluate(
    checkpoint: Annotated[
        Path | None, typer.Argument(metavar="CKPT", help="A file such as .../checkpoints/step00001000.pt.")
    ] = None,
    videos: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Instead: DIR/<class>/*.mp4 of any program; needs --data.")
    ] = None,
    ladder: Annotated[
        Path | None, typer.Option(metavar="DATA", help="Instead: clips of known worth, made of a data set.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DATA", help="Real clips to judge by. Default: those CKPT was trained on.")
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Comma separated: s3 is fid fvd kvd blind_spots gam, fid_tsn and the like, or whole names such as "
            "s3_tsn_laptop_v1. Default: s3,kvd,blind_spots; of a ladder s3_tsn too; of one class no s3.",
        ),
    ] = None,
    against: Annotated[Path | None, typer.Option(metavar="CKPT", help="The other model, for gam.")] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="SCALE", help="smoke, laptop or paper: of the protocols. Default: CKPT's own, else laptop."
        ),
    ] = None,
    preprocessing: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of --videos and --ladder. Default: plain_32, at paper scale plain_96."),
    ] = None,
    classifier_weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What classifiers start from; fid, fvd and kvd take it as it is."),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers-per-trial", metavar="N", min=1, help="Ray Train workers that train a classifier.")
    ] = 1,
    gpus_per_worker: options.Gpus = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Results. Default: beside CKPT's trial, else runs/evaluations.")
    ] = None,
    address: options.Address = None,
    json: options.Json = False,
) -> None:
    """Score a checkpoint, or videos of any other program; or learn from --ladder what a score means.

    Scores compare only under one protocol on one data set: its digest is printed with each number.
    """
    from contextlib import ExitStack

    from vgsearch.evaluation.request import EvaluationRequest
    from vgsearch.experiment.paths import opened_checkpoint
    from vgsearch.runtime.judging.evaluate import evaluate

    with ExitStack() as opened:
        judged, opponent = (
            None if path is None else opened.enter_context(opened_checkpoint(path)) for path in (checkpoint, against)
        )
        evaluate(
            EvaluationRequest(
                checkpoint=judged,
                videos=videos,
                ladder=ladder,
                data=data,
                metrics=metrics,
                against=opponent,
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

"""vgsearch evaluate: scores of a checkpoint, of any folder of videos, or of clips of known quality."""

from pathlib import Path
from typing import Annotated

import typer

from vgsearch.commands import options


def evaluate(
    checkpoint: Annotated[
        Path | None,
        typer.Argument(metavar="CKPT", help="A checkpoint file, an exported folder, or EXP or EXP/TRIAL for its best."),
    ] = None,
    videos: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Score these videos instead, DIR/CLASS/*.mp4; needs --data.")
    ] = None,
    ladder: Annotated[
        Path | None, typer.Option(metavar="DATA", help="Score clips of known quality instead, made from this data set.")
    ] = None,
    rung: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Score only this rung of --ladder, such as 'held-back'; can be given several times."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DATA", help="Data set of the real clips. Default: that of CKPT's training.")
    ] = None,
    folds: options.Folds = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Comma-separated: s3, is, fid, fvd, kvd, blind_spots, gam, standard_fvd; also with a classifier "
            "(fid_tsn), as a protocol (s3_tsn_laptop_v2), or of an installed package. "
            "Default: s3,kvd,blind_spots; with --ladder also s3_tsn; without s3 if DATA has one class.",
        ),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="CKPT", help="A checkpoint that gam compares with; can be given several times."),
    ] = None,
    fakes: Annotated[
        int, typer.Option("--fakes", metavar="N", min=2, help="Clips that each generator makes for gam.")
    ] = 1000,
    trust_torchscript: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The field's I3D for standard_fvd, which is then the only default metric. A TorchScript file can run "
            "any code as you: give one only if you trust where it is from.",
        ),
    ] = None,
    fvd_clips: Annotated[int, typer.Option(metavar="N", min=2, help="Windows on each side of standard_fvd.")] = 2048,
    fvd_frames: Annotated[int, typer.Option(metavar="T", min=1, help="Frames of each window of standard_fvd.")] = 16,
    fvd_real: Annotated[
        str,
        typer.Option(
            metavar="PART",
            help="Real clips of standard_fvd: train, as in published values, test, or all.",
        ),
    ] = "train",
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="SCALE", help="Scale of the protocols: smoke, laptop or paper. Default: CKPT's own, else laptop."
        ),
    ] = None,
    preprocessing: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Preprocessing of --videos and --ladder. Default: plain_32, or plain_96 at paper scale.",
        ),
    ] = None,
    classifier_weights: options.ClassifierWeights = None,
    workers: Annotated[
        int,
        typer.Option("--workers-per-trial", metavar="N", min=1, help="Data-parallel workers that train a classifier."),
    ] = 1,
    gpus_per_worker: options.Gpus = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder to write. Default: in CKPT's trial, else runs/evaluations."),
    ] = None,
    address: options.Address = None,
    insecure: options.Insecure = False,
    json: options.Json = False,
) -> None:
    """Score a checkpoint or a folder of videos; or, with --ladder, clips of known quality.

    Compare scores only if protocol and data set are the same; their digest is printed with each score.
    """
    from contextlib import ExitStack

    from vgsearch.evaluation.request import EvaluationRequest
    from vgsearch.evaluation.standard_fvd import FVDOptions
    from vgsearch.experiment.opened_trial import opened_checkpoint
    from vgsearch.runtime.judging.evaluate import evaluate, evaluate_on_folds

    with ExitStack() as opened:
        judged, *opponents = (
            None if path is None else opened.enter_context(opened_checkpoint(options.told_checkpoint(path)))
            for path in (checkpoint, *(against or ()))
        )
        request = EvaluationRequest(
            checkpoint=judged,
            videos=videos,
            ladder=ladder,
            rungs=tuple(rung or ()),
            data=data,
            metrics=metrics,
            against=tuple(path for path in opponents if path is not None),
            n_fakes=fakes,
            budget=budget,
            preprocessing=preprocessing,
            classifier_weights=classifier_weights,
            fvd=FVDOptions(trust_torchscript, fvd_clips, fvd_frames, fvd_real),
            n_workers=workers,
            gpus_per_worker=gpus_per_worker,
            out=out,
        )
        if folds is None:
            evaluate(request, address=address, as_json=json)
        else:
            evaluate_on_folds(request, folds, address=address, as_json=json)

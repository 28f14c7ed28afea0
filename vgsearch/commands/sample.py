"""vgsearch sample CKPT: pictures of what a generator draws."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vgsearch.commands import options
from vgsearch.commands.options import LARGEST_SEED


class Show(StrEnum):
    """What the picture shows."""

    GRID = "grid"
    CODES = "codes"
    CLASSES = "classes"
    SUBSPACES = "subspaces"
    BETWEEN = "between"


def sample(
    checkpoint: Annotated[
        Path,
        typer.Argument(metavar="CKPT", help="A checkpoint file, an exported folder, or EXP or EXP/TRIAL for its best."),
    ],
    show: Annotated[
        Show,
        typer.Option(
            metavar="WHAT",
            help="grid: classes by codes. codes or classes: interpolations. "
            "subspaces: what redrawing each subspace changes (mvt, mocogan, mdp). "
            "between: new frames between frames (tgan).",
        ),
    ] = Show.GRID,
    classes: Annotated[
        str | None, typer.Option(metavar="A,B,..", help="Only these classes, by name or number. Default: the first 10.")
    ] = None,
    n_codes: Annotated[
        int | None,
        typer.Option("--codes", metavar="N", min=1, help="Number of codes in grid, subspaces and between. Default: 5."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="codes, classes: number of columns, default 7. between: number of new frames, default 3.",
        ),
    ] = None,
    n_frames: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Length of the clips. Default: as trained.")
    ] = None,
    truncation: Annotated[
        float | None,
        typer.Option(
            metavar="TAU",
            help="Redraw values beyond TAU standard deviations, e.g. 1: samples are better but less diverse.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, max=LARGEST_SEED, help="Random seed of the codes.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder to write. Default: samples/ of the trial or the exported folder."),
    ] = None,
    n_clips: Annotated[
        int | None,
        typer.Option(
            "--clips",
            metavar="N",
            min=1,
            help="Instead of a picture write N clips of each class, lossless: DIR/CLASS/0000.mp4 and so on, "
            "which evaluate --videos reads.",
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Write samples of a checkpoint's generator as GIF, mp4 and PNG, or as loose clips."""
    # Set before torch reads it: otherwise waiting threads spin, and take most of the CPU from a running sweep.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from vgsearch.experiment.opened_trial import opened_checkpoint
    from vgsearch.sampling.sample import SampleRequest, sample

    with opened_checkpoint(options.told_checkpoint(checkpoint)) as file:
        request = SampleRequest(file, show.value, classes, n_codes, steps, n_frames, truncation, seed, out, n_clips)
        sample(request, as_json=json)

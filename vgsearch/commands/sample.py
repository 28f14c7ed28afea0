"""`vgsearch sample`: videos out of a checkpoint."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Show(StrEnum):
    """What the picture shows."""

    GRID = "grid"
    CODES = "codes"
    CLASSES = "classes"
    SUBSPACES = "subspaces"
    BETWEEN = "between"


def sample(
    checkpoint: Annotated[Path, typer.Argument(metavar="CKPT", help="A file such as .../checkpoints/step00001000.pt.")],
    show: Annotated[
        Show,
        typer.Option(
            metavar="WHAT",
            help="grid: classes x codes. codes or classes: from one to another. subspaces: each drawn anew, and what that "
            "changes (mvt, mocogan). between: new frames between frames (tgan).",
        ),
    ] = Show.GRID,
    classes: Annotated[
        str | None, typer.Option(metavar="A,B,..", help="Only these, by name or number. Default: the first 10.")
    ] = None,
    n_codes: Annotated[
        int | None,
        typer.Option("--codes", metavar="N", min=1, help="Columns of grid, subspaces and between. Default: 5."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Columns of codes and classes, default 7; frames that between adds, default 3."
        ),
    ] = None,
    n_frames: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Length of the clips. Default: as trained.")
    ] = None,
    truncation: Annotated[
        float | None,
        typer.Option(
            metavar="TAU",
            help="Draw again what lies more than TAU standard deviations out, e.g. 1: tamer, less diverse.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Same seed, same codes.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder. Default: samples/ beside the checkpoint's.")
    ] = None,
) -> None:
    """Write a picture of samples as GIF, mp4 and PNG."""
    # Before torch reads it: threads that wait spin otherwise, which beside a running sweep costs most of the time.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from vgsearch.experiment.paths import opened_checkpoint
    from vgsearch.sampling.sample import SampleRequest, sample

    with opened_checkpoint(checkpoint) as file:
        sample(SampleRequest(file, show.value, classes, n_codes, steps, n_frames, truncation, seed, out))

"""`vgsearch sample`: videos out of a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer


def sample(
    checkpoint: Annotated[Path, typer.Argument(metavar="CKPT", help="A file such as .../checkpoints/step00001000.pt.")],
    per_class: Annotated[int, typer.Option(min=1, help="Codes, one column each; every class gets the same.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same codes.")] = 0,
    n_frames: Annotated[int | None, typer.Option(min=1, help="Length of the clips; by default as trained.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; by default samples/ beside the checkpoint's.")] = None,
) -> None:
    """Write a grid of samples: rows are classes, columns are codes; GIF, mp4 and a PNG contact sheet."""
    from PIL import Image

    from videogan.sampling import contact_sheet, sample_grid, sampling_copy, write_gif, write_mp4
    from videogan.training.checkpoint import generator_from

    generator, config = generator_from(checkpoint)
    model = config.model
    sampler = sampling_copy(generator, model.n_classes, config.evaluation.standing_batches, seed=config.seed)
    frames = sample_grid(sampler, config.n_conditions, per_class, seed, n_frames or model.n_frames)
    folder = out or checkpoint.absolute().parent.parent / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{checkpoint.stem}-seed{seed}"
    write_gif(stem.with_suffix(".gif"), frames)
    write_mp4(stem.with_suffix(".mp4"), frames)
    Image.fromarray(contact_sheet(frames).numpy()).save(stem.with_suffix(".png"))
    typer.echo(f"{config.n_conditions} classes x {per_class} codes, {len(frames)} frames")
    for suffix in (".gif", ".mp4", ".png"):
        typer.echo(stem.with_suffix(suffix))

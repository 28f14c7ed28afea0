"""Samples as single files, a folder for each class, as `vgsearch evaluate --videos` and `data import` read them."""

from pathlib import Path

import torch
from torch import Tensor

from vgsearch.experiment.names import checked_name
from vgsearch.sampling.pictures import OnProgress, PictureSettings
from videogan.families.contract import Generator
from videogan.sampling.pictures import write_lossless_mp4
from videogan.sampling.sampling import SAMPLING_BATCH, codes, render
from videogan.storage.atomic import write_atomically


def write_loose_clips(
    sampler: Generator, folder: Path, settings: PictureSettings, n: int, on_progress: OnProgress
) -> list[Path]:
    """Write `n` clips of each chosen class, of different codes, as folder/CLASS/0000.mp4, or folder/0000.mp4.

    A clip depends on the seed, its class and its number only. Raises ConfigurationError for a class whose name cannot
    be a folder's.
    """
    classes = settings.classes or {0: ""}
    folders = {label: folder / checked_name(name, "a class") if name else folder for label, name in classes.items()}
    written: list[Path] = []
    for label, of_class in folders.items():
        for first in range(0, n, SAMPLING_BATCH):
            n_here = min(SAMPLING_BATCH, n - first)
            z = codes(sampler, n_here, settings.seed, label * _APART + first, settings.n_frames, settings.truncation)
            clips = render(sampler, z, torch.full((n_here,), label), settings.n_frames)
            for number, clip in enumerate(clips, start=first):
                path = of_class / f"{number:04d}.mp4"
                _write(path, clip)
                written.append(path)
            on_progress(len(written), n * len(folders))
    return written


def _write(path: Path, clip: Tensor) -> None:
    write_atomically(path, lambda stream: write_lossless_mp4(stream, clip))


_APART = 1_000_000
"""Between the codes of one class and of the next."""

"""Clips out of a generator: sampling copies with standing statistics, seeded synthetic sets, grids, GIF and mp4."""

import copy
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from videogan.data.clips import to_frames
from videogan.nets.layout import lay_channels_last_

STANDING_BATCHES = 16  # SCIENCE A4: 16 to 100
SAMPLING_BATCH = 32


@torch.no_grad()
def sampling_copy(
    generator: nn.Module,
    n_classes: int,
    n_batches: int = STANDING_BATCHES,
    batch_size: int = SAMPLING_BATCH,
    seed: int = 0,
) -> nn.Module:
    """A copy of `generator` in eval mode with the standing statistics of BigGAN, app. A: running ones lag behind weights.

    The running mean and variance of every batch norm become plain averages over `n_batches` sampling batches, with
    labels uniform over `n_classes`, seeded by `seed`. Only the batch norms are in train mode meanwhile, so that spectral
    norm's power iteration stands still. The generator itself is left as it was.
    """
    sampler = lay_channels_last_(copy.deepcopy(generator).eval().requires_grad_(False))
    norms = [module for module in sampler.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    if not norms:
        return sampler
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch: cumulative average instead of a moving one
        norm.train()
    labels = torch.Generator().manual_seed(seed)
    device = next(sampler.parameters()).device
    for batch in range(n_batches):
        z = codes(sampler, batch_size, seed=seed, first=batch * batch_size)
        y = torch.randint(n_classes, (batch_size,), generator=labels)
        sampler(z.to(device), y.to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return sampler.eval()


def codes(generator: nn.Module, n: int, seed: int, first: int = 0) -> Tensor:
    """Codes z of clips `first` to `first + n - 1`, (n, ...); clip i's follows from (seed, i) alone, whatever n is."""
    drawn = []
    for i in range(first, first + n):
        state = int(np.random.SeedSequence((seed, i)).generate_state(1, np.uint64)[0])
        drawn.append(generator.sample_z(1, generator=torch.Generator().manual_seed(state)))
    return torch.cat(drawn)


@torch.no_grad()
def render(generator: nn.Module, z: Tensor, y: Tensor, n_frames: int = 16, batch_size: int = SAMPLING_BATCH) -> Tensor:
    """uint8 frames (n, T, H, W, C) on the CPU of codes `z` (n, ...) and labels `y` (n,), or class embeddings (n, e).

    `generator` must be in eval mode, where no clip depends on its batch; raises ValueError otherwise.
    """
    if generator.training:
        raise ValueError("samples need a generator in eval mode, got train mode; use sampling_copy(generator, ...).")
    device = next(generator.parameters()).device
    batches = zip(z.split(batch_size), y.split(batch_size), strict=True)
    return torch.cat([to_frames(generator(z_b.to(device), y_b.to(device), n_frames)).cpu() for z_b, y_b in batches])


def synthesise(
    generator: nn.Module, labels: Tensor, seed: int, n_frames: int = 16, batch_size: int = SAMPLING_BATCH
) -> Tensor:
    """A synthetic set, uint8 (n, T, H, W, C): one clip for each of `labels` (n,); clip i follows from (seed, i, label)."""
    return render(generator, codes(generator, len(labels), seed), labels, n_frames, batch_size)


def sample_grid(generator: nn.Module, n_classes: int, n_per_class: int, seed: int, n_frames: int = 16) -> Tensor:
    """A grid of clips, uint8 (T, H', W', C): rows are classes, each column is one code shared by all classes."""
    z = codes(generator, n_per_class, seed)
    z = z.repeat(n_classes, *[1] * (z.ndim - 1))
    y = torch.arange(n_classes).repeat_interleave(n_per_class)
    return grid_frames(render(generator, z, y, n_frames), n_per_class)


def grid_frames(videos: Tensor, n_columns: int, gap: int = 2) -> Tensor:
    """uint8 (T, H', W', C): `videos` (n, T, H, W, C) row by row in `n_columns` columns, `gap` black pixels apart."""
    n, n_frames, height, width, channels = videos.shape
    n_rows = -(-n // n_columns)
    grid = videos.new_zeros(n_frames, n_rows * (height + gap) - gap, n_columns * (width + gap) - gap, channels)
    for i, video in enumerate(videos):
        top, left = i // n_columns * (height + gap), i % n_columns * (width + gap)
        grid[:, top : top + height, left : left + width] = video
    return grid


def contact_sheet(frames: Tensor, n_shown: int = 4, gap: int = 4) -> Tensor:
    """A still of a grid, uint8 (H', W', C): `n_shown` of its `frames` (T, H, W, C), evenly spaced, side by side."""
    shown = torch.linspace(0, len(frames) - 1, min(n_shown, len(frames))).round().long()
    return grid_frames(frames[shown].unsqueeze(1), len(shown), gap)[0]


def write_gif(path: Path | BinaryIO, frames: Tensor, fps: float = 12.5) -> None:
    """Writes uint8 `frames` (T, H, W, 3) as an endless GIF; its time unit is 10 ms."""
    images = [Image.fromarray(frame) for frame in frames.numpy()]
    images[0].save(path, format="GIF", save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0)


def write_mp4(path: Path, frames: Tensor, fps: float = 12.5) -> None:
    """Writes uint8 `frames` (T, H, W, 3) as H.264; an odd height or width gets its last row or column doubled."""
    pixels = frames.numpy()
    pixels = np.pad(pixels, ((0, 0), (0, pixels.shape[1] % 2), (0, pixels.shape[2] % 2), (0, 0)), mode="edge")
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000), options={"crf": "16"})
        stream.height, stream.width, stream.pix_fmt = *pixels.shape[1:3], "yuv420p"
        for frame in pixels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())

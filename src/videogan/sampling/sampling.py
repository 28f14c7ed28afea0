"""Clips from a generator: sampling copies with standing statistics, synthetic sets, interpolations.

What every generator offers, and what only some do, is in `videogan.families.contract.Generator`.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from videogan.config import ConfigurationError
from videogan.data.clips import to_frames
from videogan.families.contract import Generator
from videogan.nets.layout import lay_channels_last_
from videogan.out_of_memory import in_halves
from videogan.sampling.pictures import grid_frames
from videogan.seeds import seed_of

STANDING_BATCHES = 16
SAMPLING_BATCH = 32
SETTLING_CODES = 4096
"""Codes that estimate the statistics of `Generator.code_network`; n of them change a code by about sqrt(1.5 / n)."""
ALONE = 1
"""A batch of one clip: rounding can depend on the batch size, so only this size always gives a code the same bits."""


@torch.no_grad()
def sampling_copy(
    generator: Generator,
    n_classes: int,
    n_batches: int = STANDING_BATCHES,
    batch_size: int = SAMPLING_BATCH,
    seed: int = 0,
) -> Generator:
    """A copy of `generator` in eval mode with standing statistics (BigGAN app. A); running ones lag behind the weights.

    The running mean and variance of every batch norm become plain averages over `n_batches` sampling batches, with
    labels uniform over `n_classes`, seeded by `seed`. Those of `generator.code_network` are first taken over
    `SETTLING_CODES` codes through that part alone, and stay. Only the batch norms being estimated are in train mode, so
    spectral norm's power iteration does not run. The generator itself does not change.
    """
    sampler = lay_channels_last_(copy.deepcopy(generator).eval().requires_grad_(False))
    seed = seed_of("standing", seed)
    first = [] if sampler.code_network is None else _batch_norms(sampler.code_network)
    if sampler.code_network is not None and first:
        with _averaging_(first):
            z = sampler.sample_z(SETTLING_CODES, torch.Generator().manual_seed(seed))
            sampler.code_network(z.to(sampler.device), sampler.config.n_frames)
    rest = [norm for norm in _batch_norms(sampler) if norm not in first]
    if rest:
        with _averaging_(rest):
            _pass_batches(sampler, n_classes, n_batches, batch_size, seed)
    return sampler


def _pass_batches(sampler: Generator, n_classes: int, n_batches: int, batch_size: int, seed: int) -> None:
    """Generate sampling batches for the sake of the batch norms."""
    labels = torch.Generator().manual_seed(seed)
    for batch in range(n_batches):
        z = codes(sampler, batch_size, seed=seed, first=batch * batch_size)
        y = torch.randint(n_classes, (batch_size,), generator=labels)
        sampler(z.to(sampler.device), y.to(sampler.device))


def _batch_norms(network: nn.Module) -> list[_BatchNorm]:
    return [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]


@contextmanager
def _averaging_(norms: list[_BatchNorm]) -> Iterator[None]:
    """Within, `norms` are in train mode and their running statistics are plain averages over the batches; then eval."""
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch: cumulative average instead of a moving one
        norm.train()
    yield
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def codes(
    generator: Generator,
    n: int,
    seed: int,
    first: int = 0,
    n_frames: int | None = None,
    truncation: float | None = None,
) -> Tensor:
    """Codes z of clips `first` to `first + n - 1`, (n, ...); that of clip i depends on (seed, i) only, not on n.

    n_frames: length of the clips, by default the family's own; truncation: in standard deviations. Raises
    ConfigurationError for a length or a truncation that the family does not offer.
    """
    drawn = []
    for i in range(first, first + n):
        state = int(np.random.SeedSequence((seed, i)).generate_state(1, np.uint64)[0])
        rng = torch.Generator().manual_seed(state)
        drawn.append(generator.sample_z(1, rng, n_frames, truncation))
    return torch.cat(drawn)


@torch.no_grad()
def render(generator: Generator, z: Tensor, y: Tensor, n_frames: int = 16, batch_size: int = SAMPLING_BATCH) -> Tensor:
    """uint8 frames (n, T, H, W, C) on the CPU of codes `z` (n, ...) and labels `y` (n,), or class vectors (n, e).

    Raises ValueError if `generator` is not in eval mode: in train mode a clip depends on its batch.
    """
    if generator.training:
        raise ValueError("samples need a generator in eval mode, got train mode; use sampling_copy(generator, ...).")
    device = next(generator.parameters()).device

    def compute(z: Tensor, y: Tensor) -> Tensor:
        return to_frames(generator(z.to(device), y.to(device), n_frames)).cpu()

    batches = zip(z.split(batch_size), y.split(batch_size), strict=True)
    return torch.cat([in_halves(compute, *batch) for batch in batches])


def synthesise(
    generator: Generator, labels: Tensor, seed: int, n_frames: int = 16, batch_size: int = SAMPLING_BATCH
) -> Tensor:
    """A synthetic set, uint8 (n, T, H, W, C): one clip for each of `labels` (n,), a function of (seed, i, label)."""
    return render(generator, codes(generator, len(labels), seed, n_frames=n_frames), labels, n_frames, batch_size)


def sample_grid(generator: Generator, n_classes: int, n_per_class: int, seed: int, n_frames: int = 16) -> Tensor:
    """A grid of clips, uint8 (T, H', W', C): rows are classes; the clips of a column share one code."""
    z = codes(generator, n_per_class, seed, n_frames=n_frames)
    return grid_frames(in_classes(generator, z, torch.arange(n_classes), n_frames).flatten(0, 1), n_per_class)


def in_classes(generator: Generator, z: Tensor, classes: Tensor, n_frames: int = 16) -> Tensor:
    """Each of n codes z in each of k classes, uint8 (k, n, T, H, W, C)."""
    every_z = z.repeat(len(classes), *[1] * (z.ndim - 1))
    clips = render(generator, every_z, classes.repeat_interleave(len(z)), n_frames, ALONE)
    return clips.unflatten(0, (len(classes), len(z)))


def between_codes(
    generator: Generator, z: tuple[Tensor, Tensor], y: Tensor, n_steps: int, n_frames: int = 16
) -> Tensor:
    """Clips from code z_0 to z_1 (n, ...) in one class, (1 - s) z_0 + s z_1: uint8 (n, n_steps, T, H, W, C).

    s = 0, ..., 1 evenly; y: (n,). The first and last clips equal those of the ends bit for bit.
    """
    mixed = _mixtures(*z, n_steps)
    labels = y.repeat_interleave(n_steps)
    return render(generator, mixed.flatten(0, 1), labels, n_frames, ALONE).unflatten(0, (-1, n_steps))


def between_classes(
    generator: Generator, z: Tensor, y: tuple[Tensor, Tensor], n_steps: int, n_frames: int = 16
) -> Tensor:
    """Clips from class y_0 to y_1 (n,) of code z (n, ...), (1 - s) e(y_0) + s e(y_1): uint8 (n, n_steps, T, H, W, C).

    s = 0, ..., 1 evenly. Every layer that depends on the class gets the mixed e: an embedding, or a one-hot vector.
    The first and last clips equal those of the ends bit for bit. Raises ConfigurationError for an
    unconditional generator.
    """
    refuse_unconditional(generator)
    device = next(generator.parameters()).device
    with torch.no_grad():
        start, end = (generator.class_vectors(label.to(device)) for label in y)
        mixed = _mixtures(start, end, n_steps)
    every_z = z.repeat_interleave(n_steps, dim=0)
    return render(generator, every_z, mixed.flatten(0, 1), n_frames, ALONE).unflatten(0, (-1, n_steps))


def refuse_unconditional(generator: Generator) -> None:
    """Raise ConfigurationError for an unconditional generator."""
    if not generator.config.is_conditional:
        raise ConfigurationError(
            "interpolation between classes needs a conditional generator, got an unconditional "
            f"{generator.config.family}; interpolate between codes, or train a conditional model."
        )


@torch.no_grad()
def frames_between(generator: Generator, z: Tensor, y: Tensor, n_between: int) -> Tensor:
    """Clips with k = `n_between` new frames between any two (TGAN sec. 5.1): uint8 (n, (T - 1) (k + 1) + 1, H, W, C).

    Raises ConfigurationError for a generator that makes none.
    """
    refuse_without_frames_between(generator)
    pairs = zip(z.split(ALONE), y.split(ALONE), strict=True)
    clips = [generator.with_frames_between(z_i, y_i.to(z.device), n_between) for z_i, y_i in pairs]
    return torch.cat([to_frames(clip).cpu() for clip in clips])


def refuse_without_frames_between(generator: Generator) -> None:
    """Raise ConfigurationError for a generator that makes no frames between frames, as most do."""
    if not generator.makes_frames_between:
        raise ConfigurationError(f"{generator.config.family} makes no frames between frames; take a family that does.")


def _mixtures(start: Tensor, end: Tensor, n_steps: int) -> Tensor:
    """(1 - s) start + s end for s = 0, ..., 1: (n, n_steps, ...); lerp is exact at both ends."""
    if n_steps < 2:
        raise ConfigurationError(f"an interpolation needs at least 2 steps, got {n_steps}.")
    s = torch.linspace(0, 1, n_steps, dtype=start.dtype, device=start.device)
    return torch.stack([torch.lerp(start, end, weight) for weight in s], dim=1)

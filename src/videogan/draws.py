"""Random draws for the n clips of a global batch, on the CPU: codes, labels of fakes, frame choices; chosen frames."""

import math
from typing import Literal

import torch
from torch import Tensor

from videogan.config import ConfigurationError

LabelSampling = Literal["match_real", "empirical", "uniform"]


def draw_labels(
    how: LabelSampling, n: int, n_classes: int, rng: torch.Generator, label_counts: Tensor, real_labels: Tensor
) -> Tensor:
    """Labels (n,) of fakes: those of the real clips, drawn by the training clips' counts (K,), or drawn uniformly."""
    if how == "uniform":
        return torch.randint(n_classes, (n,), generator=rng)
    if how == "empirical":
        return torch.multinomial(label_counts.cpu().double(), n, replacement=True, generator=rng)
    return real_labels.cpu()


def draw_normal(n: int, dim: int, rng: torch.Generator | None, truncation: float | None = None) -> Tensor:
    """n codes ~ N(0, 1), (n, dim); `truncation` tau > 0 redraws values outside [-tau, tau] (BigGAN sec. 3.1).

    Values inside stay the same as without truncation. Raises ConfigurationError for tau <= 0.
    """
    if truncation is not None and truncation <= 0:
        raise ConfigurationError(f"truncation must be above 0 standard deviations, got {truncation:g}.")
    z = torch.randn(n, dim, generator=rng)
    if truncation is None:
        return z
    outside = z.abs() > truncation
    # Redrawing until all are inside takes too long at a small tau; the inverse distribution gives the same result.
    u = torch.rand(n, dim, generator=rng) * 2 - 1
    again = math.sqrt(2) * torch.erfinv(u * math.erf(truncation / math.sqrt(2)))
    return torch.where(outside, again.clamp(-truncation, truncation), z)


def draw_uniform(n: int, dim: int, rng: torch.Generator | None, truncation: float | None = None) -> Tensor:
    """n codes ~ U(-1, 1), (n, dim). Raises ConfigurationError for a truncation, defined for normal codes only."""
    if truncation is not None:
        raise ConfigurationError(
            f"truncation needs normal codes, got {truncation:g} for codes that are uniform on [-1, 1]; leave it out."
        )
    return torch.rand(n, dim, generator=rng) * 2 - 1


def draw_frames(n: int, n_frames: int, n_drawn: int, rng: torch.Generator, replace: bool = False) -> Tensor:
    """For each of n clips, N = `n_drawn` of its `n_frames` frames in order, (n, N); distinct unless `replace`."""
    if replace:
        frames = torch.randint(n_frames, (n, n_drawn), generator=rng)
    else:
        frames = torch.rand(n, n_frames, generator=rng).argsort(dim=1)[:, :n_drawn]
    return frames.sort(dim=1).values


def frames_at(videos: Tensor, indices: Tensor) -> Tensor:
    """The frames `indices` (b, N) of videos (b, T, C, H, W): (b, N, C, H, W)."""
    return videos[torch.arange(len(videos), device=videos.device)[:, None], indices]


def evenly_spaced(videos: Tensor, n: int) -> Tensor:
    """N evenly spaced frames of videos (b, T, C, H, W), the first and the last among them: (b, N, C, H, W)."""
    indices = torch.linspace(0, videos.shape[1] - 1, n, device=videos.device).round().long()
    return videos[:, indices]

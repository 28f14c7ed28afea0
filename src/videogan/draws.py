"""What families draw for a global batch of n clips, on the CPU, from the step's own generator: labels of fakes, frames."""

from typing import Literal

import torch
from torch import Tensor

LabelSampling = Literal["match_real", "empirical", "uniform"]


def draw_labels(
    how: LabelSampling, n: int, n_classes: int, rng: torch.Generator, label_counts: Tensor, real_labels: Tensor
) -> Tensor:
    """Labels (n,) of fakes: those of the real clips beside them, by the training clips' counts (K,), or uniform."""
    if how == "uniform":
        return torch.randint(n_classes, (n,), generator=rng)
    if how == "empirical":
        return torch.multinomial(label_counts.cpu().double(), n, replacement=True, generator=rng)
    return real_labels.cpu()


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

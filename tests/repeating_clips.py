"""Clips that freeze, stop halfway, loop, run backwards, are still under noise, or move slowly; and real ones."""

import math

import torch
from torch import Tensor

N, T, SIZE = 48, 16, 32
IN_ORDER = torch.arange(T).float()


def discs(times: Tensor, seed: int, n: int = N) -> Tensor:
    """A disc that crosses a still texture on a path of its own, at the `times` (T,): uint8 (n, T, SIZE, SIZE, 3)."""
    rng = torch.Generator().manual_seed(seed)
    texture = torch.randint(60, 120, (n, 1, SIZE, SIZE, 3), generator=rng).float()
    # It never leaves the frame, where a real clip would stand still.
    start = 2 + 6 * torch.rand(n, 2, generator=rng)
    angle, speed = torch.rand(n, generator=rng) * 0.5 * math.pi, 1 + 0.4 * torch.rand(n, generator=rng)
    step = torch.stack([angle.cos(), angle.sin()], 1) * speed[:, None]
    places = start[:, None] + times[None, :, None] * step[:, None]  # (n, T, 2)
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    away = (rows - places[..., 0, None, None]).square() + (columns - places[..., 1, None, None]).square()
    mask = (4.5 - away.sqrt()).clamp(0, 1)[..., None]
    return (texture * (1 - mask) + 235 * mask).round().to(torch.uint8)


def under_noise(clips: Tensor, levels: float) -> Tensor:
    """The clips with independent normal noise of that standard deviation."""
    noise = torch.randn(clips.shape, generator=torch.Generator().manual_seed(2))
    return (clips.float() + levels * noise).round().clamp(0, 255).to(torch.uint8)


REAL = discs(IN_ORDER, 0)
FROZEN = discs(torch.zeros(T), 1)
MADE = {
    "other real clips": discs(IN_ORDER, 1),
    "frozen": FROZEN,
    "loop of 4": discs(IN_ORDER % 4, 1),
    "loop of 8": discs(IN_ORDER % 8, 1),
    "moves 8 frames, then stands": discs(IN_ORDER.clamp(max=7), 1),
    "8 frames forwards, 8 backwards": discs(torch.cat([IN_ORDER[:8], IN_ORDER[:8].flip(0)]), 1),
    "frozen, noise of 4 levels": under_noise(FROZEN, 4),
    "frozen, noise of 1 level": under_noise(FROZEN, 1),
    "a quarter of the speed": discs(IN_ORDER / 4, 1),
}

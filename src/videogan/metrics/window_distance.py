"""The distance of a clip to a window of real frames, whatever their brightness: pure functions of pixels."""

import torch
import torch.nn.functional as F
from torch import Tensor

COARSE_SIZE = 8
FINE_FRAMES, FINE_SIZE = 8, 32
"""Frames, and the smallest side in pixels, at which clips are compared in detail."""
SHIFTS = tuple((dy, dx) for dy in (0, -1, 1) for dx in (0, -1, 1))
"""The shifts in pixels at which clips are compared."""


def coarse_frames(frames: Tensor) -> Tensor:
    """Frames at 8 x 8 by area: uint8 (..., H, W, 3) -> uint8 (..., 8 * 8 * 3), 192 bytes a frame."""
    small = F.adaptive_avg_pool2d(_planes(frames), COARSE_SIZE).movedim(1, -1)
    return small.round().to(torch.uint8).reshape(*frames.shape[:-3], -1)


def mirrored_coarse(coarse: Tensor) -> Tensor:
    """`coarse_frames` of the mirrored frames."""
    return coarse.unflatten(-1, (COARSE_SIZE, COARSE_SIZE, 3)).flip(-2).flatten(-3)


def _planes(frames: Tensor) -> Tensor:
    """uint8 (..., H, W, 3) -> float32 (n, 3, H, W)."""
    return frames.movedim(-1, -3).reshape(-1, 3, *frames.shape[-3:-1]).float()


def contrast(clips: Tensor) -> Tensor:
    """Clips (n, ...) without their mean and of length 1: float (n, d), all 0 for a clip of one value."""
    flat = clips.flatten(1).float()
    centred = flat - flat.mean(1, keepdim=True)
    length = centred.norm(dim=1, keepdim=True)
    # Below that is the rounding of the mean: one pixel that differs by one level gives more.
    return torch.where(length > 0.01, centred / length, 0.0)


def unexplained(correlation: Tensor) -> Tensor:
    """The share of a clip's standard deviation that the best brightening of a window leaves, from 0 to 1.

    min over a >= 0 and b of |x - (a w + b)| / |x - mean(x)| = sqrt(1 - max(r, 0)^2), with r the correlation of x and w.
    0: x is w at another brightness or contrast. 1: w does not resemble x, or one of them has a single value.
    """
    return (1 - correlation.clamp(0, 1).square()).sqrt()


def fine_shifts(clips: Tensor) -> Tensor:
    """What `fine_distances` compares of clips uint8 (n, T, H, W, 3), at each of `SHIFTS`: float32 (n, 9, d).

    8 evenly spaced frames, averaged over squares to about 32 x 32, without the outermost pixels, so that each shift
    sees the same region.
    """
    height, width = clips.shape[2:4]
    moved = [clips[:, :, 1 + dy : height - 1 + dy, 1 + dx : width - 1 + dx] for dy, dx in SHIFTS]
    return torch.stack([_fine(shown) for shown in moved], 1)


def fine_distances(shifts: Tensor, windows: Tensor) -> Tensor:
    """`unexplained` of each clip, of which `shifts` (n, 9, d) are given, and its windows, at the best shift.

    `windows`: uint8 (n, k, T, H, W, 3). Returns float64 (n, k). A copy has distance 0 exactly.
    """
    references = _fine(windows[:, :, :, 1:-1, 1:-1].flatten(0, 1)).unflatten(0, windows.shape[:2])
    # |a - b|^2 = 2 (1 - r) of unit vectors; from differences, a copy is exactly 0.
    squares = [(shifts - reference[:, None]).square().sum(2).amin(1) for reference in references.unbind(1)]
    is_flat = ~references.any(2) | ~shifts.any(2).all(1, keepdim=True)
    return torch.where(is_flat, 1.0, unexplained(1 - torch.stack(squares, 1).double() / 2))


def _fine(clips: Tensor) -> Tensor:
    """`contrast` of 8 frames of the clips uint8 (n, T, H, W, 3), averaged over squares: float32 (n, d)."""
    planes = _planes(clips[:, torch.linspace(0, clips.shape[1] - 1, FINE_FRAMES).round().long()])
    return contrast(
        F.avg_pool2d(planes, max(1, round(min(planes.shape[2:]) / FINE_SIZE))).unflatten(0, (len(clips), -1))
    )

"""Motion health: whether fakes freeze, loop or move faster than real clips, and whether a score depends on frame order.

After the temporal-diversity measures of MDP (SCIENCE C: the smallest difference of a clip from itself over lags).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

FROZEN = 0.1
"""A clip is frozen if it moves less than this fraction of the median real clip's motion."""
RETURNS = 0.5
"""A clip returns after a lag if it then differs from itself by less than this fraction of the change in one frame step:
a period of p + 1/2 frames, measured at lag p, is missed by half a step."""
EXCESS = 0.2
"""The share of frozen or looping fakes may exceed that of real clips by this much before it is reported."""
SLOW = 0.5
"""Clips are slow below this flow ratio, and hardly move below `FROZEN`."""
MIN_FRAMES = 4


class MotionHealth(NamedTuple):
    """Shares of freezing and looping clips among fakes and real clips; NaN if real clips do not move."""

    freezing: float
    freezing_real: float
    looping: float
    looping_real: float


def motion_health(frames: Tensor, real_frames: Tensor) -> MotionHealth:
    """Freezing and looping rates of `frames` and `real_frames`, both uint8 (., T, H, W, C) of equal T, H, W, C."""
    if frames.shape[1:] != real_frames.shape[1:]:
        raise ValueError(
            "fakes and real clips must have the same size, because motion per pixel depends on it, "
            f"got {tuple(frames.shape[1:])} and {tuple(real_frames.shape[1:])}; resize the real ones."
        )
    typical = typical_motion(real_frames)
    return MotionHealth(
        freezing_rate(frames, typical),
        freezing_rate(real_frames, typical),
        looping_rate(frames, typical),
        looping_rate(real_frames, typical),
    )


def motion(frames: Tensor) -> Tensor:
    """Motion of each clip: the mean absolute difference of adjacent frames in levels of 255, float64 (n,).

    `frames`: uint8 (n, T, H, W, C).
    """
    return _change_after(frames, 1)


def typical_motion(real_frames: Tensor) -> float:
    """The median motion of real clips, to which `FROZEN` refers."""
    return motion(real_frames).quantile(0.5).item()


def freezing_rate(frames: Tensor, typical: float, lag: int = 1) -> float:
    """Share of clips that change less than `FROZEN` times `typical` in `lag` frames; NaN if `typical` is 0."""
    return _is_frozen(frames, typical, lag).double().mean().item() if typical else math.nan


def looping_rate(frames: Tensor, typical: float) -> float:
    """Share of clips that are not frozen but return to earlier frames; NaN if `typical` is 0.

    A clip returns if after some lag from 2 to T/2 its frames differ from themselves by less than `RETURNS` times their
    motion, on average over the clip; at half its length, every frame takes part. Steady motion changes more after 2
    frames than after 1, and independent noise equally after any lag, so neither counts as a loop. Real clips may loop
    too (running on the spot), and a few shuffled ones do by chance: only the difference matters.
    """
    if not typical:
        return math.nan
    lags = range(2, frames.shape[1] // 2 + 1)
    nearest_return = torch.stack([_change_after(frames, lag) for lag in lags]).amin(0)
    loops = (nearest_return < RETURNS * motion(frames)) & ~_is_frozen(frames, typical)
    return loops.double().mean().item()


def flow_magnitude(flow: Tensor) -> Tensor:
    """Speed of each clip: mean length of its `flow` (n, T - 1, 2, H, W) in pixels per frame, float64 (n,)."""
    if flow.ndim != 5 or flow.shape[2] != 2 or not flow[:1].numel():
        raise ValueError(f"flow must be (n, T - 1, 2, H, W), n >= 1 and T >= 2, got {tuple(flow.shape)}.")
    return flow.double().square().sum(2).sqrt().flatten(1).mean(1)


def flow_ratio(magnitudes: Tensor, real_magnitudes: Tensor) -> float:
    """Median `flow_magnitude` (n,) of clips divided by that (m,) of real clips of equal frame size (SCIENCE D5).

    1: as fast as real clips; below: slower, 0 is still; above: faster, or noise, which the estimator mistakes for
    motion. NaN if the median real clip does not move.
    """
    typical = real_magnitudes.quantile(0.5).item()
    return magnitudes.quantile(0.5).item() / typical if typical else math.nan


def shuffle_frames(frames: Tensor, seed: int) -> Tensor:
    """The clips (n, T, ...) with the frames of each in its own random order, never the original one."""
    if frames.shape[1] < 2:
        raise ValueError(f"shuffling needs clips of at least 2 frames, got {frames.shape[1]}.")
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([clip[_other_order(len(clip), generator)] for clip in frames]) if len(frames) else frames.clone()


def repeat_single_frame(frames: Tensor, seed: int) -> Tensor:
    """The clips (n, T, ...) with all frames of each replaced by one of them, drawn uniformly."""
    generator = torch.Generator().manual_seed(seed)
    shown = torch.randint(frames.shape[1], (len(frames),), generator=generator)
    return frames[torch.arange(len(frames)), shown].unsqueeze(1).expand_as(frames).contiguous()


def _other_order(n_frames: int, generator: torch.Generator) -> Tensor:
    in_order = torch.arange(n_frames)
    while True:
        order = torch.randperm(n_frames, generator=generator)
        if not order.equal(in_order):
            return order


def _is_frozen(frames: Tensor, typical: float, lag: int = 1) -> Tensor:
    return _change_after(frames, lag) < FROZEN * typical


def _change_after(frames: Tensor, lag: int) -> Tensor:
    """Mean absolute difference between frames `lag` apart, float64 (n,); exact: differences of bytes fit in int16."""
    if frames.ndim != 5 or frames.dtype != torch.uint8 or not len(frames) or frames.shape[1] < MIN_FRAMES:
        raise ValueError(
            f"motion needs uint8 clips (n, T, H, W, C), n >= 1, T >= {MIN_FRAMES}, "
            f"got {frames.dtype} {tuple(frames.shape)}."
        )
    totals = []
    for clip in frames:  # one at a time, which the processor's cache holds: ten times as fast as 64 at 96 pixels
        levels = clip.short()
        totals.append((levels[lag:] - levels[:-lag]).abs().sum())
    return torch.stack(totals).double() / frames[0, lag:].numel()

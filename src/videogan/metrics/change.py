"""Distances between two clips, in appearance and in motion."""

import math

from torch import Tensor

from videogan.metrics.s3 import Interval

N_NORMAL = 30


def appearance_distance(frames: Tensor, others: Tensor) -> Tensor:
    """Root mean square difference of the clips' means over time, in levels of 255: float64 (n,).

    frames, others: (n, T, H, W, C). The mean over time blurs motion, so the distance mainly measures appearance.
    """
    return (frames.double().mean(1) - others.double().mean(1)).square().flatten(1).mean(1).sqrt()


def flow_distance(flow: Tensor, other: Tensor) -> Tensor:
    """Mean length of the difference of two flows (n, T - 1, 2, H, W), in pixels per frame: float64 (n,)."""
    return (flow.double() - other.double()).square().sum(2).sqrt().flatten(1).mean(1)


def normal_interval(values: Tensor) -> Interval:
    """The mean of `values` (n,), n >= 30, and its 95 % interval: 1.96 standard errors to either side."""
    if len(values) < N_NORMAL:
        raise ValueError(f"a normal interval needs at least {N_NORMAL} values, got {len(values)}.")
    mean, margin = values.mean().item(), 1.96 * values.std().item() / math.sqrt(len(values))
    return Interval(mean, mean - margin, mean + margin)

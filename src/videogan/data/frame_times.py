"""Which source frames a clip takes at an even frame rate: a pure function of the frames' timestamps. No torch here."""

import math
from dataclasses import dataclass

import numpy as np

from videogan.data.source import MAX_FPS

PAUSE_SECONDS = 1.0  # a frame shown longer than this is a pause: a window of 16 frames can lie in it


@dataclass(frozen=True)
class EvenFrames:
    """The index of the source frame of each frame of a clip, the clip's frame rate, and the pauses of the source.

    `frames` is None if every source frame is taken once. `pauses` are (source frame, seconds it is shown).
    """

    frames: np.ndarray | None
    fps: float
    pauses: tuple[tuple[int, float], ...] = ()


def even_frames(pts: np.ndarray, time_base: float) -> EvenFrames:
    """Sample frames shown at `pts` (n,), integers that increase, in units of `time_base` seconds, at an even rate.

    A constant rate up to MAX_FPS takes every frame, a higher one every k-th, with the least k that keeps to MAX_FPS. A
    variable rate is sampled at its usual rate: the mean of the gaps within half of the median gap. The same k applies.
    Needs n >= 3.
    """
    gaps, median = np.diff(pts), float(np.median(np.diff(pts)))
    usual = gaps[2 * np.abs(gaps - median) <= median]
    mean = float(usual.mean()) if len(usual) else median
    if (2 * np.abs(gaps - median) < median).all() or (median * time_base < 1 / MAX_FPS and _is_rounded(pts)):
        mean = float(pts[-1] - pts[0]) / len(gaps)
        stride = _stride(mean * time_base)
        return EvenFrames(None if stride == 1 else np.arange(0, len(pts), stride), 1 / (stride * mean * time_base))
    stride = _stride(mean * time_base)
    period = stride * mean
    n_ticks = int((pts[-1] - pts[0] + mean / 2) / period) + 1
    # Half a gap after the tick: timestamps that are rounded, or shifted by less than that, change nothing.
    moments = pts[0] + np.arange(n_ticks) * period + mean / 2
    frames = np.searchsorted(pts, moments, side="right") - 1
    long = np.flatnonzero((gaps * time_base > PAUSE_SECONDS) & (gaps > 2 * mean))
    pauses = tuple((int(frame), float(gaps[frame]) * time_base) for frame in long)
    return EvenFrames(frames, 1 / (period * time_base), pauses)


def _is_rounded(pts: np.ndarray) -> bool:
    """Whether the timestamps are those of a constant rate, rounded to whole units: 960 fps in milliseconds."""
    line = pts[0] + np.arange(len(pts)) * ((pts[-1] - pts[0]) / (len(pts) - 1))
    return bool(np.abs(pts - line).max() < 1)


def _stride(seconds: float) -> int:
    """The least number of frames, `seconds` apart, after which one is taken, so that the rate is at most MAX_FPS."""
    return max(1, math.ceil(1 / (seconds * MAX_FPS) - 1e-3))

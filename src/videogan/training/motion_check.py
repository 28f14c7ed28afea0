"""Motion of samples beside that of real clips: whether they stand, return to earlier frames, or move slowly."""

import math

import torch
from torch import Tensor

from videogan.flow.speed import flow_speeds
from videogan.metrics.evenly_spaced import evenly_spaced
from videogan.metrics.frame_repeats import (
    ROUNDING_ERROR,
    frame_errors,
    frame_repeats,
    repeat_threshold,
    still_share,
)
from videogan.metrics.motion_health import flow_ratio, freezing_rate, looping_rate, typical_motion

N_COMPARED = 64
"""Evenly spaced clips that are compared; with their flow, 0.4 s of one core at 96 pixels and 0.1 s at 32."""
N_FLOWS, FLOW_SIZE = 16, 32
"""Evenly spaced clips whose flow is computed, and the height and width to which larger frames are resized for it."""


class MotionCheck:
    """Motion of samples against that of real clips, which is computed once."""

    def __init__(self, real_frames: Tensor) -> None:
        """real_frames: uint8 (n, T, H, W, 3), T at least 4."""
        real = evenly_spaced(real_frames, N_COMPARED)
        errors = frame_errors(real)
        self._clip_size, self._typical = real.shape[1:], typical_motion(real)
        self._threshold, self._contrast = repeat_threshold(errors), _contrast(real).median()
        self._speeds = self._flow_speeds(real)
        repeats = frame_repeats(errors, self._threshold)
        self._of_real = {
            "freezing_real": freezing_rate(real, self._typical),
            "looping_real": looping_rate(real, self._typical),
            "still_frames_real": repeats.freezing,
            "returning_frames_real": repeats.looping,
        }

    def __call__(self, frames: Tensor) -> dict[str, float]:
        """The vitals of samples, uint8 (n, T, H, W, 3), by the names in `Vitals`.

        Raises ValueError for clips of another size than the real ones.
        """
        if frames.shape[1:] != self._clip_size:
            raise ValueError(
                f"samples and real clips need one size (T, H, W, C), got {tuple(frames.shape[1:])} and "
                f"{tuple(self._clip_size)}; resize the real ones."
            )
        shown = evenly_spaced(frames, N_COMPARED)
        errors = self._errors(shown)
        repeats = frame_repeats(errors, self._threshold)
        speed = flow_ratio(self._flow_speeds(shown), self._speeds)
        lag = _frames_of_a_real_step(speed, shown.shape[1])
        return {
            **self._of_real,
            "freezing": freezing_rate(shown, self._typical),
            "looping": looping_rate(shown, self._typical),
            "still_frames": repeats.freezing,
            "returning_frames": repeats.looping,
            "freezing_at_pace": freezing_rate(shown, self._typical, lag) if lag else math.nan,
            "still_frames_at_pace": still_share(errors, self._threshold, lag) if lag else math.nan,
            "flow_ratio": speed,
        }

    def _errors(self, frames: Tensor) -> Tensor:
        """Errors between frames, raised for clips paler than real ones: those differ less for that alone."""
        paler = (self._contrast / _contrast(frames)).clamp(min=1)
        return frame_errors(frames) * paler[:, None, None]

    def _flow_speeds(self, frames: Tensor) -> Tensor:
        return flow_speeds(evenly_spaced(frames, N_FLOWS), size=min(FLOW_SIZE, *frames.shape[2:4]))


def _frames_of_a_real_step(speed: float, n_frames: int) -> int | None:
    """How many frames the samples take to move as far as real clips do in one, by their flow ratio.

    So far apart, frames of slow motion differ; those of clips that stop halfway, or are still under noise, repeat.
    None if it is more than half a clip, or unknown: then slow motion cannot be told from a still.
    """
    return math.ceil(1 / speed) if speed >= 2 / n_frames else None


def _contrast(frames: Tensor) -> Tensor:
    """Variance over the pixels of a frame, mean over frames and channels, in levels squared, at least that of rounding.

    `frames`: uint8 (n, T, H, W, C). Returns float64 (n,).
    """
    return torch.stack([_variance(clip) for clip in frames]).clamp(min=ROUNDING_ERROR)


def _variance(clip: Tensor) -> Tensor:
    """Of (T, H, W, C), by the mean of squares: a quarter of the time of `Tensor.var`, and exact enough for bytes."""
    levels = clip.flatten(1, 2).transpose(1, 2).contiguous().double()
    return (levels.square().mean(2) - levels.mean(2).square()).mean()

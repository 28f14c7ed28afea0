"""The flow of a video: each frame's features are computed once, for both of its pairs."""

from typing import Protocol

from torch import Tensor
from torch.nn.functional import interpolate


class FlowEstimator(Protocol):
    """The interface of `LucasKanade` and `PWCNet`."""

    def features(self, frames: Tensor) -> list[Tensor]:
        """Features of single frames (N, 3, H, W) in [-1, 1]: tensors whose first dimension is N."""

    def between(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """Flow (N, 2, H, W) in pixels from frames with features `first` to those with `second`."""


def video_flow(estimator: FlowEstimator, videos: Tensor, stride: int = 1, size: int | None = None) -> Tensor:
    """Flow (B, T - 1, 2, H, W) between adjacent frames of `videos` in [-1, 1]: pixels, u right, v down.

    videos: (B, T, 3, H, W), or grey (B, T, 1, H, W).

    Equal to the estimator's flow of each pair, with T instead of 2 (T - 1) frames' features. Two options change the
    flow, and so any loss computed from it: with `stride` k only the pairs that begin at frames 0, k, 2k, ... are kept,
    (B, ceil((T - 1) / k), 2, H, W); with `size` the frames are first resized to that height and width, whose pixels
    the flow then counts.
    """
    n_frames = videos.shape[1]
    if n_frames < 2 or stride < 1:
        raise ValueError(f"flow needs at least 2 frames and a stride of at least 1, got {n_frames} and {stride}.")
    starts = range(0, n_frames - 1, stride)
    needed = sorted({*starts, *(start + 1 for start in starts)})
    places = [[needed.index(start + later) for start in starts] for later in (0, 1)]
    frames = videos[:, needed].flatten(0, 1)
    frames = frames.expand(-1, 3, -1, -1)  # grey videos have one colour
    if size is not None and frames.shape[-2:] != (size, size):
        shrinks = size < min(frames.shape[-2:])
        frames = interpolate(frames, (size, size), mode="bilinear", align_corners=False, antialias=shrinks)
    features = estimator.features(frames)
    first, second = (
        [level.unflatten(0, (len(videos), -1))[:, chosen].flatten(0, 1) for level in features] for chosen in places
    )
    return estimator.between(first, second).unflatten(0, (len(videos), -1))

"""The training windows nearest to a clip, of all windows of all training clips."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from videogan.data.clip_set import CLIPS_AT_ONCE, ClipSet, RealSet, in_batches
from videogan.data.windows import span
from videogan.metrics.window_distance import (
    coarse_frames,
    contrast,
    fine_distances,
    fine_shifts,
    mirrored_coarse,
    unexplained,
)

N_NEAREST = 3
WINDOWS_AT_ONCE = 512
FINE_AT_ONCE = 16
N_PEAKS = 4
"""Windows of the nearest clip, at the highest peaks of its correlation, that are compared in detail too."""


@dataclass(frozen=True)
class CoarseFrames:
    """All frames of all training clips at 8 x 8: 192 bytes a frame, 350 MB for UCF-101's 1.8 million."""

    frames: Tensor
    """uint8 (sum of lengths, 192), clip after clip."""
    lengths: Tensor
    """(n,) int64: frames of each clip."""
    strides: Tensor
    """(n,) int64: distances in frames within a window."""
    n_frames: int
    """Frames of a window."""

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def offsets(self) -> list[int]:
        """The place of each clip's first frame in `frames`."""
        return (self.lengths.cumsum(0) - self.lengths).tolist()

    @cached_property
    def last_starts(self) -> Tensor:
        """(n,) int64: the first frame of each clip's last window."""
        return (self.lengths - span(self.n_frames, self.strides)).clamp(min=0)

    def windows(self, clip: int) -> Iterator[tuple[int, Tensor]]:
        """(first start, windows of consecutive starts uint8 (m, T, 192)) of a clip, until all its windows are seen."""
        length, stride = int(self.lengths[clip]), int(self.strides[clip])
        of_clip = self.frames[self.offsets[clip] : self.offsets[clip] + length]
        starts = torch.arange(int(self.last_starts[clip]) + 1)
        for part in starts.split(WINDOWS_AT_ONCE):
            yield int(part[0]), of_clip[_frames_of(part, self.n_frames, stride, length)]


def _frames_of(starts: Tensor, n_frames: int, stride: int, length: int) -> Tensor:
    """The frame numbers (m, T) of the windows at `starts` (m,); a clip that is too short repeats its last frame."""
    return (starts[:, None] + stride * torch.arange(n_frames)).clamp(max=length - 1)


def coarse_frames_of(clips: RealSet) -> CoarseFrames:
    """Read every frame that a window of `clips` has, once, by windows that tile each clip."""
    n_frames, lengths, strides = clips.shape[0], torch.from_numpy(clips.lengths), torch.from_numpy(clips.strides)
    tiles = [
        (clip, start)
        for clip, (length, stride) in enumerate(zip(lengths.tolist(), strides.tolist(), strict=True))
        for start in _tiles(length, stride, n_frames)
    ]
    index = CoarseFrames(torch.zeros(int(lengths.sum()), 192, dtype=torch.uint8), lengths, strides, n_frames)
    batches = torch.tensor(tiles).split(CLIPS_AT_ONCE)
    for batch, windows in zip(batches, clips.at((batch[:, 0], batch[:, 1]) for batch in batches), strict=True):
        for (clip, start), frames in zip(batch.tolist(), coarse_frames(windows), strict=True):
            places = _frames_of(torch.tensor([start]), n_frames, int(strides[clip]), int(lengths[clip]))[0]
            index.frames[index.offsets[clip] + places] = frames
    return index


def _tiles(length: int, stride: int, n_frames: int) -> list[int]:
    """Starts of windows that together have every frame of every window of a clip; few frames twice."""
    last = max(length - span(n_frames, stride), 0)
    starts: set[int] = set()
    for first in range(min(stride, last + 1)):
        starts.update(range(first, last + 1, stride * n_frames))
        starts.add(first + (last - first) // stride * stride)
    return sorted(starts)


@dataclass(frozen=True)
class Nearest:
    """The training windows nearest to each of n clips, at most one of each training clip, nearest first; all (n, k)."""

    distances: Tensor
    """float64, `videogan.metrics.window_distance.unexplained`: 0 for a copy, 1 if nothing is alike."""
    clips: Tensor
    """Positions of the training clips."""
    starts: Tensor
    """First frames of the windows."""
    mirrored: Tensor
    """Whether the clip resembles the mirrored window."""

    def rows(self, chosen: Tensor) -> "Nearest":
        return Nearest(*(part[chosen] for part in (self.distances, self.clips, self.starts, self.mirrored)))

    def frames(self, train: RealSet) -> Tensor:
        """The windows, mirrored where the clip resembles that: uint8 (n, k, T, H, W, 3)."""
        flat = self.clips.flatten(), self.starts.flatten()
        requests = list(zip(*(part.split(CLIPS_AT_ONCE) for part in flat), strict=True))
        windows = torch.cat(list(train.at(requests)))
        flipped = self.mirrored.flatten()
        windows[flipped] = windows[flipped].flip(3)
        return windows.unflatten(0, self.clips.shape)


def nearest_windows(clips: ClipSet, index: CoarseFrames, train: RealSet, k: int = N_NEAREST) -> Nearest:
    """The `k` training windows nearest to draw 0 of each of `clips`, of all windows and their mirror images.

    Found by the coarse frames of all windows; the best of each of the k nearest training clips are then compared in
    detail (`fine_distances`), about 15 ms a clip of 64 px. Time: 2 n T 192 multiplications for each training window.
    """
    k = min(k, len(index))
    coarse = torch.cat([coarse_frames(frames) for frames in clips.windows(in_batches(len(clips), CLIPS_AT_ONCE))])
    found = _coarse_nearest(coarse, index, k)
    parts = []
    for rows in torch.arange(len(clips)).split(FINE_AT_ONCE):
        (frames,) = clips.windows([(rows, 0)])
        parts.append(_compared(frames, found.rows(rows), index, train))
    return Nearest(*(torch.cat([getattr(part, name) for part in parts]) for name in Nearest.__dataclass_fields__))


def _compared(frames: Tensor, found: Nearest, index: CoarseFrames, train: RealSet) -> Nearest:
    """`found`, by the distances in detail; also other windows of the nearest clip are compared.

    `frames`: uint8 (n, T, H, W, 3), the n clips. Of a shifted clip the coarse frames may resemble a window one frame or
    one period of the motion away more.
    """
    shifts = fine_shifts(frames)
    distances, order = fine_distances(shifts, found.frames(train)).sort(dim=1, stable=True)
    clips, starts, mirrored = (part.gather(1, order) for part in (found.clips, found.starts, found.mirrored))
    coarse = coarse_frames(frames)
    nearest = torch.cat([clips[:, :1], starts[:, :1], mirrored[:, :1]], 1).tolist()
    others = torch.stack([
        _other_starts(one, clip, start, flipped, index)
        for one, (clip, start, flipped) in zip(coarse, nearest, strict=True)
    ])  # fmt: skip
    where = clips[:, :1].expand_as(others), others, mirrored[:, :1].expand_as(others)
    found_there, which = fine_distances(shifts, Nearest(distances, *where).frames(train)).min(1)
    better = found_there < distances[:, 0]
    starts[:, 0] = torch.where(better, others.gather(1, which[:, None])[:, 0], starts[:, 0])
    distances[:, 0] = torch.where(better, found_there, distances[:, 0])
    return Nearest(distances, clips, starts, mirrored)


def _other_starts(coarse: Tensor, clip: int, start: int, is_mirrored: int, index: CoarseFrames) -> Tensor:
    """Windows (N_PEAKS + 2,) of a clip: where its correlation with `coarse` peaks, and those beside `start`."""
    query = contrast((mirrored_coarse(coarse) if is_mirrored else coarse)[None])[0]
    correlations = torch.cat([contrast(windows) @ query for _, windows in index.windows(clip)])
    is_peak = correlations == F.max_pool1d(correlations[None], 3, stride=1, padding=1)[0]
    peaks = torch.where(is_peak, correlations, -2.0).topk(min(N_PEAKS, len(correlations))).indices
    peaks = peaks[torch.arange(N_PEAKS).clamp(max=len(peaks) - 1)]
    return torch.cat([peaks, torch.tensor([start - 1, start + 1]).clamp(0, len(correlations) - 1)])


def _coarse_nearest(coarse: Tensor, index: CoarseFrames, k: int) -> Nearest:
    """By the correlation of coarse frames `coarse` uint8 (n, T, 192) and of their mirror images."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    n = len(coarse)
    queries = contrast(torch.cat([coarse, mirrored_coarse(coarse)])).to(device)
    best = torch.full((len(index), n), -2.0)
    places = torch.zeros(len(index), n, dtype=torch.int64)
    for clip in range(len(index)):
        for first, windows in index.windows(clip):
            correlations = queries @ contrast(windows.to(device)).T
            # (n, 2 m): the clip's windows, then their mirror images.
            here, at = torch.cat(correlations.split(n), 1).max(1)
            # A place is twice the start, plus one for a mirror image.
            found = 2 * (first + at % len(windows)) + at // len(windows)
            here, found, better = here.cpu(), found.cpu(), here.cpu() > best[clip]
            best[clip], places[clip] = torch.where(better, here, best[clip]), torch.where(better, found, places[clip])
    top, clips = best.T.topk(k, 1)
    chosen = places.T.gather(1, clips)
    return Nearest(unexplained(top.double()), clips, chosen // 2, chosen % 2 == 1)

"""Features of windows of all training clips, by which memorised content is found that pixels do not show."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from videogan.classifiers.contract import VideoClassifier
from videogan.classifiers.fit import Recipe, features, window_features
from videogan.data.clip_set import Derived, RealSet, Request
from videogan.data.windows import span
from videogan.metrics.memorisation import memorisation_ratio, nearest_neighbours
from videogan.protocols.window_search import N_NEAREST, Nearest
from videogan.storage.atomic import write_atomically
from videogan.storage.places import Place
from videogan.storage.step_files import read_checkpoint

WINDOWS_PER_LENGTH = 4
N_CANDIDATES = 24
"""Nearest windows among which those of different clips are chosen."""


@dataclass(frozen=True)
class ChosenWindows(Derived):
    """Windows of real clips, each with one draw: window i starts at frame `starts[i]` of clip `rows[i]`."""

    whole: RealSet
    rows: Tensor
    starts: Tensor
    groups: None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> Tensor:
        return self.whole.labels[self.rows]

    def windows(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        return self.whole.at((self.rows[chosen], self.starts[chosen]) for chosen, _ in requests)


def dense_windows(clips: RealSet) -> ChosenWindows:
    """Windows that start every T/4 sampled frames of each clip, and its last window: each frame is in about four."""
    n_frames = clips.shape[0]
    places = [
        (row, start)
        for row, (length, stride) in enumerate(zip(clips.lengths.tolist(), clips.strides.tolist(), strict=True))
        for last in [max(length - span(n_frames, stride), 0)]
        for start in sorted({*range(0, last + 1, max(1, n_frames // WINDOWS_PER_LENGTH) * stride), last})
    ]
    rows, starts = torch.tensor(places).unbind(1)
    return ChosenWindows(clips, rows, starts)


@dataclass(frozen=True)
class TrainingFeatures:
    """Penultimate features of `dense_windows` of the training clips, by one real-trained classifier."""

    features: Tensor
    """float32 (m, d): 2 KB a window at d = 512, 1 GB for UCF-101's 450,000."""
    rows: Tensor
    starts: Tensor


def training_features(network: VideoClassifier, train: RealSet, recipe: Recipe) -> TrainingFeatures:
    """One forward pass of each window: about 4 / T of a fit's epoch for each frame of the mean clip."""
    windows = dense_windows(train)
    return TrainingFeatures(window_features(network, windows, recipe, "penultimate")[0], windows.rows, windows.starts)


def nearest_by_features(learnt: Tensor, mirrored: Tensor, found: TrainingFeatures) -> Nearest:
    """The training windows nearest to n clips by cosine distance of their features, or of their mirror images'.

    `learnt`, `mirrored`: (n, d), of the clips and of the mirrored clips. The nearest comes first, then those of other
    training clips; at most `N_NEAREST`.
    """
    n, k = len(learnt), min(N_CANDIDATES, len(found.rows))
    distances, indices = nearest_neighbours(torch.cat([learnt, mirrored]), found.features, k, "cosine")
    distances, order = torch.cat(distances.split(n), 1).sort(dim=1, stable=True)
    indices = torch.cat(indices.split(n), 1).gather(1, order)
    clips, starts = found.rows[indices], found.starts[indices]
    is_again = (clips[:, :, None] == clips[:, None, :]).tril(-1).any(2)
    first = is_again.long().sort(dim=1, stable=True).indices[:, : min(N_NEAREST, int(found.rows.max()) + 1)]
    return Nearest(*(part.gather(1, first) for part in (distances, clips, starts, order >= k)))


def features_ratio(
    network: VideoClassifier, recipe: Recipe, samples: Tensor, real: Tensor, found: TrainingFeatures
) -> float:
    """`memorisation_ratio` of `samples` beside `real` held-back clips, both uint8 (n, T, H, W, 3)."""
    near = []
    for frames in (samples, real):
        learnt, mirrored = (features(network, clips, recipe, "penultimate") for clips in (frames, frames.flip(3)))
        near.append(nearest_by_features(learnt, mirrored, found).distances)
    return memorisation_ratio(*near)


def save_training_features(path: Place, found: TrainingFeatures) -> None:
    """Write atomically; the last of two writers wins."""
    stored = {"features": found.features, "rows": found.rows, "starts": found.starts}
    write_atomically(path, lambda stream: torch.save(stored, stream))


def load_training_features(path: Place) -> TrainingFeatures:
    """Read a file written by `save_training_features`; raises DamagedCheckpoint."""
    return read_checkpoint(path, lambda stored: TrainingFeatures(**stored))

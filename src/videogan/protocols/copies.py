"""Copies: the share of samples that are much nearer to a training window than unseen real clips are."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from videogan.data.clip_set import ClipSet, LabelledClips, RealSet, all_windows
from videogan.protocols.classifier import DataFacts, digest_of
from videogan.protocols.window_search import CoarseFrames, Nearest, coarse_frames_of, nearest_windows
from videogan.storage.atomic import write_atomically
from videogan.storage.places import Place
from videogan.storage.step_files import read_checkpoint

VERSION = "copies_v1"
N_SAMPLES = 200
WINDOWS_OF_CLIP = 4
MOST_REAL = 400
QUANTILE = 0.01
NEARER_BY = 0.5
"""A copy is nearer by this factor than the nearest 1 % of the held-back windows. These may be from
few groups: without it, half of the clips of one unseen person counted as copies beside those of another."""
FLAGGED_ABOVE = 0.05
"""A generator copies if more than this share of its samples are copies."""


@dataclass(frozen=True)
class TrainingWindows:
    """What copies are found with, computed once for each data set."""

    index: CoarseFrames
    real: dict[str, Tensor]
    """For each split that no generator saw: the distance of each of its windows to the nearest training window."""


@dataclass(frozen=True)
class Copies:
    """The share of copies among the samples of a generator. Distances are `window_distance.unexplained`, 0 to 1."""

    share: float
    """Samples less than half as far from a training window as 99 % of the held-back windows are."""
    limit: float
    """A generator with a larger share is said to copy."""
    distance: float
    """Median distance of the samples to the nearest training window."""
    real_distance: float
    """The same of windows of held-back real clips."""
    threshold: float
    """Below it a sample is a copy: half of the distance that 1 % of these windows are below, or half of the smallest
    distance if they are fewer than 100."""
    n_samples: int
    n_real: int
    split: str
    """The held-back clips."""
    features: float = math.nan
    """The median cosine distance of features to the nearest training window over that of the held-back clips; far
    below 1: memorised. Not a reason to flag: samples of few modes are near to the middle of a class too."""

    @property
    def ratio(self) -> float:
        """The median distance divided by that of the real clips; NaN if half of these are training windows."""
        return self.distance / self.real_distance if self.real_distance else math.nan


def training_windows(train: RealSet, held_back: Mapping[str, RealSet]) -> TrainingWindows:
    """Read all frames of `train` once, and find the training window nearest to windows of each held-back clip."""
    index = coarse_frames_of(train)
    real = {split: nearest_windows(_shown(clips), index, train).distances[:, 0] for split, clips in held_back.items()}
    return TrainingWindows(index, real)


def _shown(clips: RealSet) -> LabelledClips:
    """Evenly spaced windows of each clip, at most `MOST_REAL` of them."""
    spaced = clips.spaced(WINDOWS_OF_CLIP)
    windows = torch.cat([all_windows(spaced, draw) for draw in range(WINDOWS_OF_CLIP)])
    chosen = torch.linspace(0, len(windows) - 1, min(len(windows), MOST_REAL)).round().long()
    return LabelledClips(windows[chosen], clips.labels.repeat(WINDOWS_OF_CLIP)[chosen], clips.n_classes)


def copies(samples: ClipSet, windows: TrainingWindows, train: RealSet, split: str) -> tuple[Copies, Nearest]:
    """The share of copies among `samples`, and their nearest training windows; compared with real clips of `split`."""
    real, nearest = windows.real[split], nearest_windows(samples, windows.index, train)
    threshold = NEARER_BY * real.quantile(QUANTILE, interpolation="lower").item()
    found = nearest.distances[:, 0]
    result = Copies(
        share=(found < threshold).double().mean().item(),
        limit=FLAGGED_ABOVE,
        distance=found.quantile(0.5).item(),
        real_distance=real.quantile(0.5).item(),
        threshold=threshold,
        n_samples=len(samples),
        n_real=len(real),
        split=split,
    )
    return result, nearest


def labels_of_samples(train: RealSet, n: int = N_SAMPLES) -> Tensor:
    """Labels (n,) in the proportions of the training clips."""
    return train.labels.sort().values[torch.linspace(0, len(train) - 1, n).round().long()]


def windows_digest(data: DataFacts, n_frames: int) -> str:
    """sha256 (hex) of everything that `TrainingWindows` depend on: the name of their folder in the cache."""
    return digest_of({"windows": VERSION, "n_frames": n_frames} | data.facts())


def save_training_windows(path: Place, windows: TrainingWindows) -> None:
    """Write atomically; the last of two writers wins."""
    index = windows.index
    stored: dict[str, Any] = {  # Any: what torch.load reads back
        "frames": index.frames, "lengths": index.lengths, "strides": index.strides, "n_frames": index.n_frames,
        "real": windows.real,
    }  # fmt: skip
    write_atomically(path, lambda stream: torch.save(stored, stream))


def load_training_windows(path: Place) -> TrainingWindows:
    """Read a file written by `save_training_windows`; raises DamagedCheckpoint."""
    return read_checkpoint(path, lambda stored: TrainingWindows(real=stored.pop("real"), index=CoarseFrames(**stored)))

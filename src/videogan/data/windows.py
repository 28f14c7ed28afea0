"""Which frames of which clips: the clips of a split that can be used, and the order in which training sees them.

Pure functions of the manifest and a seed, without torch: the cache and the Ray Data stream follow the same ones.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import numpy as np

from videogan.data.decode import Preprocessing
from videogan.data.manifest import DataError, Manifest

ShortClips = Literal["skip", "repeat_last"]


@dataclass(frozen=True)
class Selection:
    """The clips of one split that are used, in the manifest's order; the five columns have one entry per clip."""

    paths: tuple[str, ...]
    shas: tuple[str, ...]
    labels: np.ndarray  # (n,) int64 class numbers
    groups: tuple[str, ...]
    lengths: np.ndarray  # (n,) frames that decode
    n_classes: int
    skipped: tuple[str, ...]  # messages, one for each usable clip that is left out

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def label_counts(self) -> np.ndarray:
        """(K,) clips of each class."""
        return np.bincount(self.labels, minlength=self.n_classes)

    def centre_starts(self, n_frames: int) -> np.ndarray:
        """(n,) first frame of each clip's centre window."""
        return np.maximum(self.lengths - n_frames, 0) // 2


def select_clips(
    manifest: Manifest,
    split: str,
    preprocessing: Preprocessing,
    n_frames: int,
    short_clips: ShortClips = "skip",
    unreadable: Mapping[str, str] = MappingProxyType({}),
) -> Selection:
    """Clips of `split` that give windows of `n_frames`; `unreadable`: sha -> reason. DataError if none is left."""
    kept, messages = [], []
    for row in manifest.split(split).to_pylist():
        reason = preprocessing.problem(row["width"], row["height"]) or unreadable.get(row["sha"])
        if reason is None and row["n_frames"] < n_frames and short_clips == "skip":
            messages.append(
                f"{row['path']}: {row['n_frames']} frames decode, {n_frames} are needed. Skipped. "
                "--set data.short_clips=repeat_last keeps it."
            )
        elif reason:
            messages.append(f"{row['path']}: {reason}. Skipped.")
        else:
            kept.append(row)
    if not kept:
        count = Counter(message.partition(": ")[2] for message in messages).most_common(1)
        why = f" {count[0][1]} clips: {count[0][0]}" if count else ""
        raise DataError(f"{manifest.folder}: no usable clip in {split}.{why}")
    return Selection(
        paths=tuple(str(manifest.location(row["path"])) for row in kept),
        shas=tuple(row["sha"] for row in kept),
        labels=np.array([manifest.classes.index(row["label"]) for row in kept], dtype=np.int64),
        groups=tuple(row["group"] for row in kept),
        lengths=np.array([row["n_frames"] for row in kept], dtype=np.int64),
        n_classes=len(manifest.classes),
        skipped=tuple(messages),
    )


@dataclass(frozen=True)
class WindowSchedule:
    """The endless stream of training windows: permutations of all clips in turn, each window at a random start.

    The start is uniform over all valid ones, the last included. A pure function of (seed, position), so a resumed
    training and a Ray Data task anywhere see the same windows.
    """

    lengths: np.ndarray  # (n,) frames of each clip
    n_frames: int
    seed: int

    def at(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(clip numbers, first frames) of stream `positions` (m,), both (m,) int64."""
        n_clips = len(self.lengths)
        clips, starts = np.empty(len(positions), np.int64), np.empty(len(positions), np.int64)
        for epoch in np.unique(positions // n_clips):
            rng = np.random.default_rng([self.seed, int(epoch)])
            order = rng.permutation(n_clips)
            first_frames = rng.integers(0, np.maximum(self.lengths - self.n_frames, 0) + 1)
            here = positions // n_clips == epoch
            clips[here] = order[positions[here] % n_clips]
            starts[here] = first_frames[clips[here]]
        return clips, starts

    def batch(self, index: int, batch_size: int, rank: int = 0, n_ranks: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """The windows of rank `rank`'s part of global batch `index`."""
        per_rank = batch_size // n_ranks
        return self.at(index * batch_size + rank * per_rank + np.arange(per_rank))


def window(frames: np.ndarray, start: int, n_frames: int) -> np.ndarray:
    """Frames [start, start + n_frames) of (T, H, W, C); a clip that ends before repeats its last frame."""
    return frames[np.minimum(start + np.arange(n_frames), len(frames) - 1)]

"""Windows: the usable clips of a split, and the order in which training sees their frames.

Pure functions of the manifest and a seed, without torch, shared by the cache and the Ray Data stream.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from videogan.config import ConfigurationError
from videogan.data.manifest import DataError, Manifest
from videogan.data.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor

Frames = TypeVar("Frames", "np.ndarray", "Tensor")
ShortClips = Literal["skip", "repeat_last"]
Sampling = Literal["shuffled", "class_balanced"]
EveryNth = int | Literal["released"]
"""The frames a window takes: every n-th, or by the rule of MVT-GAN's released code; see `stride_of`."""


@dataclass(frozen=True)
class Selection:
    """The used clips of one split, in the manifest's order; the first six fields have one entry per clip."""

    paths: tuple[str, ...]
    shas: tuple[str, ...]
    labels: np.ndarray  # (n,) int64 class numbers
    groups: tuple[str, ...]
    lengths: np.ndarray  # (n,) frames that decode
    strides: np.ndarray  # (n,) int64 distances in frames within a window
    n_classes: int
    skipped: tuple[str, ...]  # one message for each usable clip that is left out

    def __len__(self) -> int:
        return len(self.paths)

    def schedule(self, n_frames: int, seed: int, sampling: Sampling = "shuffled") -> "WindowSchedule":
        """The training windows of these clips."""
        balanced = self.labels if sampling == "class_balanced" else None
        return WindowSchedule(self.lengths, n_frames, seed, balanced, self.strides)

    def label_counts_in(self, schedule: "WindowSchedule") -> np.ndarray:
        """(K,) windows of each class in one epoch of `schedule`."""
        clips, _ = schedule.at(np.arange(schedule.n_windows))
        return np.bincount(self.labels[clips], minlength=self.n_classes)

    def centre_starts(self, n_frames: int) -> np.ndarray:
        """(n,) first frame of each clip's centre window."""
        return spaced_starts(self, n_frames, 0, 1)

    def n_starts(self, n_frames: int) -> np.ndarray:
        """(n,) number of windows of each clip, at least 1: a clip that is too short repeats its last frame."""
        return np.maximum(self.lengths - span(n_frames, self.strides), 0) + 1

    def of_class(self, label: int | None) -> "Selection":
        """The clips of class number `label`; all of them for None. Raises DataError if the class has no clip."""
        if label is None:
            return self
        if not (self.labels == label).any():
            raise DataError(f"data.only_class must be a class with training clips, got {label}, which has none.")
        return self.where(self.labels == label)

    def joined(self, other: "Selection") -> "Selection":
        """The clips of both."""
        return replace(
            self,
            paths=self.paths + other.paths,
            shas=self.shas + other.shas,
            labels=np.concatenate([self.labels, other.labels]),
            groups=self.groups + other.groups,
            lengths=np.concatenate([self.lengths, other.lengths]),
            strides=np.concatenate([self.strides, other.strides]),
            skipped=self.skipped + other.skipped,
        )

    def where(self, chosen: np.ndarray) -> "Selection":
        """The clips for which `chosen` (n,) is true."""
        rows = np.flatnonzero(chosen)
        return replace(
            self,
            paths=tuple(self.paths[row] for row in rows),
            shas=tuple(self.shas[row] for row in rows),
            labels=self.labels[rows],
            groups=tuple(self.groups[row] for row in rows),
            lengths=self.lengths[rows],
            strides=self.strides[rows],
        )


def select_clips(
    manifest: Manifest,
    split: str,
    preprocessing: Preprocessing,
    n_frames: int,
    short_clips: ShortClips = "skip",
    unreadable: Mapping[str, str] = MappingProxyType({}),
    every_nth: EveryNth = 1,
) -> Selection:
    """Select the clips of `split` (train, select or test) that give windows of `n_frames`.

    Raises DataError if none is left; a manifest of two splits has none in select (`Manifest.search_split`).
    `unreadable`: the reason for each sha that must be left out.
    """
    kept, messages = [], []
    for row in manifest.split(split).to_pylist():
        reason = preprocessing.problem(row["width"], row["height"]) or unreadable.get(row["sha"])
        stride = stride_of(row["n_frames"], n_frames, every_nth)
        if reason is None and row["n_frames"] < span(n_frames, stride) and short_clips == "skip":
            why = f" for {n_frames} at data.every_nth={stride}" if stride > 1 else ""
            messages.append(
                f"{row['path']}: {row['n_frames']} frames decode, {span(n_frames, stride)} are needed{why}. Skipped. "
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
        strides=np.array([stride_of(row["n_frames"], n_frames, every_nth) for row in kept], dtype=np.int64),
        n_classes=len(manifest.classes),
        skipped=tuple(messages),
    )


def stride_of(length: int, n_frames: int, every_nth: EveryNth) -> int:
    """The distance in frames between a window's neighbours, in a clip of `length` frames.

    "released" is the rule of MVT-GAN's code, not mentioned in the paper: 2 if the clip has at least 2 T frames, else 1.
    """
    if every_nth == "released":
        return 2 if length >= 2 * n_frames else 1
    return every_nth


def span(n_frames: int, stride: Any) -> Any:  # int -> int, array (n,) -> array (n,)
    """Length in frames of a window in its clip, for a `stride` or each of (n,)."""
    return (n_frames - 1) * stride + 1


def random_starts(selection: Selection, n_frames: int, seed: tuple[int, ...]) -> np.ndarray:
    """(n,) the first frame of a window of each clip, uniform over all valid ones: a function of `seed`."""
    return np.random.default_rng(seed).integers(0, selection.n_starts(n_frames))


def spaced_starts(selection: Selection, n_frames: int, number: int, n_windows: int) -> np.ndarray:
    """(n,) the first frame of window `number` of `n_windows` evenly spaced ones; the only one is the centre window.

    Raises ValueError for a number that is not from 0 to n_windows - 1.
    """
    if not 0 <= number < n_windows:
        raise ValueError(f"a window's number must be from 0 to {n_windows - 1}, got {number}.")
    return (2 * number + 1) * (selection.n_starts(n_frames) - 1) // (2 * n_windows)


def halves_by_group(selection: Selection, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Masks (n,) of two halves of the groups, which share no group and each have every class.

    Raises DataError if no such halves are found, as for a class with one group.
    """
    names = np.array(selection.groups)
    order = np.unique(names)
    rng = np.random.default_rng(seed)
    present = len(np.unique(selection.labels))
    best: np.ndarray | None = None
    for _ in range(200):  # of the random halves that have every class, the one nearest to half of each class
        first = np.isin(names, rng.permutation(order)[: len(order) // 2])
        is_whole = all(len(np.unique(selection.labels[part])) == present for part in (first, ~first))
        if is_whole and (best is None or _imbalance(selection, first) < _imbalance(selection, best)):
            best = first
    if best is None:
        raise DataError(
            f"the {len(order)} groups cannot be halved so that both halves have every class; import clips of "
            "more groups."
        )
    return best, ~best


def _imbalance(selection: Selection, chosen: np.ndarray) -> int:
    counts = [np.bincount(selection.labels[part], minlength=selection.n_classes) for part in (chosen, ~chosen)]
    return int(np.abs(counts[0] - counts[1]).sum())


@dataclass(frozen=True)
class WindowSchedule:
    """The endless stream of training windows, epoch after epoch, each window at a random start.

    An epoch is a permutation of all clips. With balanced classes it holds, in random order, equally many windows of
    each class present, in total about as many as clips; a clip repeats only after all others of its class. The start is
    uniform over all valid ones, including the last. A pure function of (seed, position), so a resumed training and any
    Ray Data task see the same windows.
    """

    lengths: np.ndarray  # (n,) frames of each clip
    n_frames: int
    seed: int
    balanced: np.ndarray | None = None  # (n,) labels, whose classes are shown equally often; None: each clip once
    strides: np.ndarray | int = 1  # (n,), or one number for all clips: distances in frames within a window
    _drawn: dict[int, tuple[np.ndarray, np.ndarray]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    @property
    def n_windows(self) -> int:
        """Windows in an epoch."""
        if self.balanced is None:
            return len(self.lengths)
        return self._per_class(self.balanced) * len(np.unique(self.balanced))

    def at(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(clip numbers, first frames) of stream `positions` (m,), both (m,) int64."""
        clips, starts = np.empty(len(positions), np.int64), np.empty(len(positions), np.int64)
        epochs, places = np.divmod(positions, self.n_windows)
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            clips[here], starts[here] = (column[places[here]] for column in self._epoch(epoch))
        return clips, starts

    def batch(self, index: int, batch_size: int, rank: int = 0, n_ranks: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """The windows of `rank` in global batch `index`."""
        return self.at(rank_positions(np.array([index]), batch_size, rank, n_ranks)[0])

    def _epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """(clip numbers, first frames) of an epoch, both (n_windows,); the latest two epochs are cached."""
        drawn = self._drawn.get(epoch)
        if drawn is None:
            drawn = self._shuffled(epoch) if self.balanced is None else self._balanced(epoch, self.balanced)
            for old in list(self._drawn)[:-1]:
                self._drawn.pop(old, None)
            self._drawn[epoch] = drawn
        return drawn

    def _shuffled(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.lengths))
        return order, rng.integers(0, self._n_starts)[order]

    def _balanced(self, epoch: int, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self.seed, epoch])
        count = self._per_class(labels)
        turns = [
            self._turns(label, np.flatnonzero(labels == label), count, epoch) for label in np.unique(labels).tolist()
        ]
        clips = np.concatenate(turns)
        clips = clips[rng.permutation(len(clips))]
        return clips, rng.integers(0, self._n_starts[clips])

    def _turns(self, label: int, members: np.ndarray, count: int, epoch: int) -> np.ndarray:
        """`count` clips of the class `label` for an epoch, from an endless series of permutations of its `members`."""
        # Permutations are drawn in blocks of at least `count` clips, so an epoch needs at most two blocks.
        rounds = math.ceil(count / len(members))
        size = rounds * len(members)
        first, last = epoch * count // size, ((epoch + 1) * count - 1) // size
        blocks = []
        for block in range(first, last + 1):
            # label + 1 keeps this apart from an epoch's seed: numpy ignores trailing zeros of a seed.
            rng = np.random.default_rng([self.seed, block, label + 1])
            blocks.append(rng.permuted(np.tile(members, (rounds, 1)), axis=1).ravel())
        return np.concatenate(blocks)[epoch * count - first * size :][:count]

    @staticmethod
    def _per_class(labels: np.ndarray) -> int:
        return math.ceil(len(labels) / len(np.unique(labels)))

    @property
    def _n_starts(self) -> np.ndarray:
        return np.maximum(self.lengths - span(self.n_frames, self.strides), 0) + 1


def rank_positions(batches: np.ndarray, batch_size: int, rank: int = 0, n_ranks: int = 1) -> np.ndarray:
    """Stream positions of a rank's part of the global `batches` (m,), as (m, batch_size / n_ranks).

    Raises ValueError if the number of ranks does not divide the batch size.
    """
    if batch_size % n_ranks:
        raise ValueError(f"batch_size must be a multiple of the {n_ranks} ranks, got {batch_size}.")
    per_rank = batch_size // n_ranks
    return batches[:, None] * batch_size + rank * per_rank + np.arange(per_rank)


def window(frames: np.ndarray, start: int, n_frames: int, stride: int = 1) -> np.ndarray:
    """Every `stride`-th of the frames (T, H, W, C) from `start`: a view, or a copy that repeats the last frame."""
    end = start + span(n_frames, stride)
    if end <= len(frames):
        return frames[start:end:stride]
    return frames[np.minimum(start + stride * np.arange(n_frames), len(frames) - 1)]


def with_colours(frames: Frames, n_colours: int, name: str) -> Frames:
    """uint8 frames (..., 3) with `n_colours`: all three, or the one of grey frames, whose three are equal.

    name: whose frames they are. Raises ConfigurationError for frames in colour if `n_colours` is 1.
    """
    if n_colours == frames.shape[-1]:
        return frames
    grey = frames[..., :1]
    if not (frames == grey).all():
        raise ConfigurationError(f"{name}: model.n_colours = 1 needs grey clips, got colour. Set model.n_colours=3.")
    return grey

"""Sets of labelled clips, read window by window: the real clips of a split, or synthetic clips in their place."""

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from videogan.data.windows import Selection, random_starts, spaced_starts
from videogan.device import CPU, has_room, on_device
from videogan.storage.atomic import reserve

Request = tuple[Tensor, int]
"""(positions (m,), draw): window number `draw` of each of the clips at these positions of a set."""
Shape = tuple[int, ...]
CLIPS_AT_ONCE = 64
DRAWS_OF_A_TURN = 1_000_000
"""Added to the draw for each earlier occurrence of a clip in a subset: more draws than any fit has epochs."""


class ClipSet(Protocol):
    """n labelled clips. Each has any number of windows, the draws: window d of a clip is always the same."""

    @property
    def labels(self) -> Tensor:
        """int64 (n,), below `n_classes`."""
        ...

    @property
    def n_classes(self) -> int: ...

    @property
    def groups(self) -> tuple[str, ...] | None:
        """The group of each clip; None for clips without groups, such as synthetic ones."""
        ...

    @property
    def shape(self) -> Shape:
        """(T, H, W, C) of a window."""
        ...

    def __len__(self) -> int: ...

    def windows(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        """The windows of each request, in order: uint8 (m, T, H, W, C)."""
        ...


class RealSet(ClipSet, Protocol):
    """Real clips, whose windows can be chosen."""

    def random(self, seed: int) -> ClipSet:
        """These clips with a random window in each draw, uniform over all valid starts: a function of (seed, draw)."""
        ...

    def spaced(self, n_windows: int) -> ClipSet:
        """These clips with `n_windows` evenly spaced windows: draws 0 to n_windows - 1; one: the centre window."""
        ...

    @property
    def lengths(self) -> np.ndarray:
        """(n,) int64: frames of each whole clip."""
        ...

    @property
    def strides(self) -> np.ndarray:
        """(n,) int64: distances in frames within a window of each clip."""
        ...

    def at(self, windows: Iterable[tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
        """Windows of (positions (m,), first frames (m,)), in order: uint8 (m, T, H, W, C)."""
        ...


@dataclass(frozen=True)
class LabelledClips:
    """Clips in memory with one window each: `frames` uint8 (n, T, H, W, C), the same in every draw."""

    frames: Tensor
    labels: Tensor
    n_classes: int
    groups: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.frames), len(self.labels), len(self.frames if self.groups is None else self.groups)}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(f"labelled clips need equally many frames, labels and groups, got {sorted(lengths)}.")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> Shape:
        return tuple(self.frames.shape[1:])

    def random(self, seed: int) -> "LabelledClips":
        """These clips: each has one window."""
        return self

    def spaced(self, n_windows: int) -> "LabelledClips":
        """These clips: each has one window."""
        return self

    def windows(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        for rows, _ in requests:
            yield self.frames[rows]

    @property
    def lengths(self) -> np.ndarray:
        return np.full(len(self), self.shape[0])

    @property
    def strides(self) -> np.ndarray:
        return np.ones(len(self), np.int64)

    def at(self, windows: Iterable[tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
        """The window of each clip, which starts at its only first frame, 0."""
        for rows, _ in windows:
            yield self.frames[rows]


class WindowReader(Protocol):
    """Reads windows of real clips, from the cache or a stream."""

    def __call__(
        self, selection: Selection, windows: Iterable[tuple[np.ndarray, np.ndarray]], n_frames: int
    ) -> Iterator[Tensor]:
        """For each (clip numbers (m,), first frames (m,)), in order: uint8 (m, n_frames, H, W, 3)."""
        ...


Starts = Callable[[int], np.ndarray]
"""draw -> the first frame of each clip's window (n,)."""


@dataclass(frozen=True)
class RealClips:
    """The real clips of a split. Draw d has the window that `random` or `spaced` chose; otherwise the centre."""

    selection: Selection
    n_frames: int
    size: int
    """Height and width of the frames in pixels."""
    read: WindowReader
    starts: Starts | None = None

    def __len__(self) -> int:
        return len(self.selection)

    @cached_property
    def labels(self) -> Tensor:
        return torch.from_numpy(self.selection.labels)

    @property
    def n_classes(self) -> int:
        return self.selection.n_classes

    @property
    def groups(self) -> tuple[str, ...]:
        return self.selection.groups

    @property
    def shape(self) -> Shape:
        return self.n_frames, self.size, self.size, 3

    @property
    def lengths(self) -> np.ndarray:
        return self.selection.lengths

    @property
    def strides(self) -> np.ndarray:
        return self.selection.strides

    def random(self, seed: int) -> "RealClips":
        return replace(self, starts=lambda draw: random_starts(self.selection, self.n_frames, (seed, draw)))

    def spaced(self, n_windows: int) -> "RealClips":
        return replace(self, starts=lambda draw: spaced_starts(self.selection, self.n_frames, draw, n_windows))

    def windows(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        starts = self.spaced(1).starts if self.starts is None else self.starts
        assert starts is not None
        return self.at((rows, torch.from_numpy(starts(draw))[rows]) for rows, draw in requests)

    def at(self, windows: Iterable[tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
        """Windows of (positions (m,), first frames (m,))."""
        return self.read(self.selection, ((rows.numpy(), starts.numpy()) for rows, starts in windows), self.n_frames)


class Derived:
    """A set made of another one, `whole`, with its classes and the shape of its windows."""

    whole: ClipSet

    @property
    def n_classes(self) -> int:
        return self.whole.n_classes

    @property
    def shape(self) -> Shape:
        return self.whole.shape


@dataclass(frozen=True)
class Subset(Derived):
    """The clips of a set at `rows` (m,), in this order. Where a row occurs again, it shows another window."""

    whole: ClipSet
    rows: Tensor

    def __post_init__(self) -> None:
        if not len(self.rows):
            raise ValueError("a subset needs at least 1 clip, got none.")

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def labels(self) -> Tensor:
        return self.whole.labels[self.rows]

    @cached_property
    def groups(self) -> tuple[str, ...] | None:
        groups = self.whole.groups
        return None if groups is None else tuple(groups[row] for row in self.rows.tolist())

    def windows(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        turns, asked = _turns(self.rows), list(requests)
        parts = [
            [(turns[rows] == turn, self.rows[rows][turns[rows] == turn], draw + turn * DRAWS_OF_A_TURN)
             for turn in turns[rows].unique().tolist()]
            for rows, draw in asked
        ]  # fmt: skip
        read = self.whole.windows((rows, draw) for of_request in parts for _, rows, draw in of_request)
        for of_request, (rows, _) in zip(parts, asked, strict=True):
            found = [next(read) for _ in of_request]
            if len(found) == 1:
                yield found[0]
                continue
            # Where the whole has them: windows that stay on a GPU need not pass through the CPU.
            frames = torch.empty(len(rows), *self.shape, dtype=torch.uint8, device=found[0].device if found else CPU)
            for (places, _, _), windows in zip(of_request, found, strict=True):
                frames[on_device(places.nonzero().flatten(), frames.device)] = windows
            yield frames


def _turns(rows: Tensor) -> Tensor:
    """(m,) how often each of `rows` (m,) occurs before."""
    order = rows.argsort(stable=True)
    _, counts = rows[order].unique_consecutive(return_counts=True)
    first = (counts.cumsum(0) - counts).repeat_interleave(counts)
    return torch.empty_like(rows).scatter_(0, order, torch.arange(len(rows)) - first)


@dataclass(frozen=True)
class Changed(Derived):
    """A set whose windows are changed: `change(windows (m, T, H, W, C), positions (m,), draw)`, of the same shape."""

    whole: ClipSet
    change: Callable[[Tensor, Tensor, int], Tensor]
    labels: Tensor
    groups: None = None

    def __len__(self) -> int:
        return len(self.labels)

    def windows(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        asked = list(requests)
        for (rows, draw), frames in zip(asked, self.whole.windows(asked), strict=True):
            yield self.change(frames, rows, draw)


@dataclass(frozen=True)
class Grouped(Derived):
    """A set whose clips belong to other groups."""

    whole: ClipSet
    groups: tuple[str, ...] | None

    def __len__(self) -> int:
        return len(self.whole)

    @property
    def labels(self) -> Tensor:
        return self.whole.labels

    def windows(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        return self.whole.windows(requests)


@dataclass(frozen=True)
class Joined:
    """A set whose clips of class k are those of `sets[k]` at the same positions."""

    sets: Sequence[ClipSet]
    labels: Tensor
    groups: None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_classes(self) -> int:
        return len(self.sets)

    @property
    def shape(self) -> Shape:
        return self.sets[0].shape

    def windows(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        for rows, draw in requests:
            frames = torch.empty(len(rows), *self.shape, dtype=torch.uint8)
            for label in self.labels[rows].unique().tolist():
                of_class = self.labels[rows] == label
                (frames[of_class],) = self.sets[label].windows([(rows[of_class], draw)])
            yield frames


class Spooled:
    """A set whose windows are expensive: those of the draw in use are computed once, and kept.

    They stay on `device` if that is a GPU with room for them, and are given there; else they are in a temporary file,
    whose pages are the system's to drop, so that memory does not grow with the set.
    """

    def __init__(self, whole: ClipSet, device: torch.device = CPU) -> None:
        self.whole, self.labels, self.groups, self._device = whole, whole.labels, whole.groups, device
        self.n_classes, self.shape = whole.n_classes, whole.shape
        self._draw: int | None = None
        self._frames = torch.empty(0, dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self.labels)

    def windows(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        for rows, draw in requests:
            if draw != self._draw:
                self._fill(draw)
            yield self._frames[on_device(rows, self._frames.device)]

    def _fill(self, draw: int) -> None:
        if not len(self._frames):
            self._frames = self._room()
        self._draw = None  # an interrupted fill leaves no draw
        requests = list(in_batches(len(self), CLIPS_AT_ONCE, draw))
        for (rows, _), frames in zip(requests, self.whole.windows(requests), strict=True):
            place = self._frames.device
            self._frames[on_device(rows, place)] = on_device(frames, place)
        self._draw = draw

    def _room(self) -> Tensor:
        """Memory for one draw, uint8 (n, T, H, W, C)."""
        shape = (len(self), *self.shape)
        if has_room(self._device, size := math.prod(shape)):
            return torch.empty(shape, dtype=torch.uint8, device=self._device)
        with tempfile.NamedTemporaryFile(prefix="vgsearch-clips-") as file:  # the mapping outlives the name
            reserve(Path(file.name), size)
            return torch.from_file(file.name, shared=True, size=size, dtype=torch.uint8).view(shape)


def in_batches(n: int, size: int, draw: int = 0) -> Iterator[Request]:
    """Requests for one draw of all `n` clips in order, `size` at a time."""
    return ((rows, draw) for rows in torch.arange(n).split(size))


def all_windows(clips: ClipSet, draw: int = 0) -> Tensor:
    """One draw of a small set, in memory: uint8 (n, T, H, W, C)."""
    return torch.cat(list(clips.windows(in_batches(len(clips), CLIPS_AT_ONCE, draw))))

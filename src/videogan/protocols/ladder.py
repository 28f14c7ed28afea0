"""The calibration ladder: a protocol's score of clips of known quality, as a scale for the scores of generators."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from videogan.data.clip_set import Changed, ClipSet, RealSet, Request, Shape, Subset
from videogan.metrics.motion_health import repeat_single_frame, shuffle_frames
from videogan.protocols.s3 import Purpose, SyntheticSet
from videogan.seeds import seed_of

OTHER_WINDOWS = 500_000
"""Added to seeds, so that no window of a rung is drawn like one of a fit on real clips."""


@dataclass(frozen=True)
class RealParts:
    """The real clips that the rungs are made of; no two share a group."""

    train: RealSet
    """Those that the real classifiers are fitted on."""
    scored: RealSet
    held_back: RealSet
    """Clips that neither a fit nor a test sees."""


Rung = Callable[[RealParts], SyntheticSet]
"""real clips -> the clips used in place of a generator's."""


def training_clips(real: RealParts) -> SyntheticSet:
    """Training clips, other windows: what an ideal memoriser gives.

    SeR is ReR and ReS at least ReR, so S3 is about 1 / sqrt(ReR); only the memorisation measures reveal it.
    """
    return _windows_of(real.train, real.train)


def held_back_clips(real: RealParts) -> SyntheticSet:
    """Real clips of groups that neither a fit nor a test saw: what an ideal generator gives. S3 is near 1."""
    return _windows_of(real.held_back, real.held_back)


def scored_clips(real: RealParts) -> SyntheticSet:
    """Training clips to train on, test clips to be recognised: S3 near 1 because both classifiers see the same."""
    return _windows_of(real.train, real.scored)


def shuffled_frames(real: RealParts) -> SyntheticSet:
    """Held-back clips, each with its frames in random order: the loss shows how much a score depends on motion."""
    return _changed(held_back_clips(real), shuffle_frames)


def single_frames(real: RealParts) -> SyntheticSet:
    """Held-back clips with one frame repeated: appearance without motion."""
    return _changed(held_back_clips(real), repeat_single_frame)


def shuffled_labels(real: RealParts) -> SyntheticSet:
    """Held-back clips with the labels of other clips: realism without the right class."""
    whole = held_back_clips(real)

    def mislabelled(purpose: Purpose, labels: Tensor, seed: int) -> ClipSet:
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
        return Changed(whole(purpose, labels[order], seed), lambda frames, rows, draw: frames, labels)

    return mislabelled


def noise(real: RealParts) -> SyntheticSet:
    """Uniform random pixels: S3 at the chance floor."""
    return lambda purpose, labels, seed: _Noise(labels, real.train.n_classes, real.train.shape, seed)


RUNGS: dict[str, Rung] = {
    "training clips, other windows": training_clips,
    "held-back clips, other windows": held_back_clips,
    "test clips": scored_clips,
    "shuffled frames": shuffled_frames,
    "single frames": single_frames,
    "shuffled labels": shuffled_labels,
    "noise": noise,
}


@dataclass(frozen=True)
class _Noise:
    labels: Tensor
    n_classes: int
    shape: Shape
    seed: int
    groups: None = None

    def __len__(self) -> int:
        return len(self.labels)

    def windows(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        for rows, draw in requests:
            yield torch.stack([self._clip(row, draw) for row in rows.tolist()])

    def _clip(self, row: int, draw: int) -> Tensor:
        rng = torch.Generator().manual_seed(_seed_of(self.seed, draw, row))
        return torch.randint(0, 256, self.shape, generator=rng, dtype=torch.uint8)


def _seed_of(seed: int, draw: int, row: int) -> int:
    """The seed of what is random in draw `draw` of the clip at `row`."""
    return seed_of(f"rung, draw {draw}, clip {row}", seed)


def _windows_of(train: RealSet, test: RealSet) -> SyntheticSet:
    """Random windows of `train` in place of the training set, else of `test`."""

    def chosen(purpose: Purpose, labels: Tensor, seed: int) -> ClipSet:
        clips = train if purpose == "train" else test
        return clips_of_labels(clips.random(OTHER_WINDOWS + seed), labels, seed)

    return chosen


def _changed(whole: SyntheticSet, change: Callable[[Tensor, int], Tensor]) -> SyntheticSet:
    """`whole` with each clip (1, T, H, W, C) changed by `change(clip, its seed)`."""

    def changed(purpose: Purpose, labels: Tensor, seed: int) -> ClipSet:
        def change_all(frames: Tensor, rows: Tensor, draw: int) -> Tensor:
            seeds = [_seed_of(seed, draw, row) for row in rows.tolist()]
            return torch.cat([change(clip[None], own) for clip, own in zip(frames, seeds, strict=True)])

        return Changed(whole(purpose, labels, seed), change_all, labels)

    return changed


def clips_of_labels(clips: ClipSet, labels: Tensor, seed: int) -> Subset:
    """Clips with the classes `labels` (n,), in random order, repeated only after all others of their class.

    Raises ValueError if a class has no clip.
    """
    rng = torch.Generator().manual_seed(seed)
    chosen = torch.empty_like(labels)
    for label in labels.unique().tolist():
        members = (clips.labels == label).nonzero().flatten()
        if not len(members):
            raise ValueError(f"each class needs at least 1 clip to choose from, got none of class {label}.")
        places = (labels == label).nonzero().flatten()
        order = members[torch.randperm(len(members), generator=rng)]
        chosen[places] = order[torch.arange(len(places)) % len(members)]
    return Subset(clips, chosen)

"""The calibration ladder: a protocol's score of clips of known quality, as a scale for the scores of generators."""

from collections.abc import Callable

import torch
from torch import Tensor

from videogan.classifiers.fit import LabelledClips
from videogan.metrics.motion_health import repeat_single_frame, shuffle_frames
from videogan.protocols.s3 import Purpose, SyntheticSet

Rung = Callable[[LabelledClips, LabelledClips], SyntheticSet]
"""(real train clips, real test clips) -> the clips used in place of a generator's."""


def real(train: LabelledClips, test: LabelledClips) -> SyntheticSet:
    """The real clips themselves: S3 = 1, because both trainings and both tests are the same."""
    return lambda purpose, labels, seed: _frames(train if purpose == "train" else test, purpose, labels, seed)


def copied_train_clips(train: LabelledClips, test: LabelledClips) -> SyntheticSet:
    """Copies of training clips: S3 near or above 1 although nothing was generated; only memorisation reveals it."""
    return lambda purpose, labels, seed: _frames(train, purpose, labels, seed)


def shuffled_frames(train: LabelledClips, test: LabelledClips) -> SyntheticSet:
    """Real clips, each with its frames in random order: the loss shows how much a score depends on motion."""
    whole = real(train, test)
    return lambda purpose, labels, seed: shuffle_frames(whole(purpose, labels, seed), seed)


def single_frames(train: LabelledClips, test: LabelledClips) -> SyntheticSet:
    """Real clips with one frame repeated: appearance without motion."""
    whole = real(train, test)
    return lambda purpose, labels, seed: repeat_single_frame(whole(purpose, labels, seed), seed)


def shuffled_labels(train: LabelledClips, test: LabelledClips) -> SyntheticSet:
    """Real clips with the labels of other clips: realism without the right class."""

    def mislabelled(purpose: Purpose, labels: Tensor, seed: int) -> Tensor:
        clips = train if purpose == "train" else test
        order = torch.randperm(len(clips), generator=torch.Generator().manual_seed(seed))
        return clips.frames[order[torch.arange(len(labels)) % len(order)]]

    return mislabelled


def noise(train: LabelledClips, test: LabelledClips) -> SyntheticSet:
    """Uniform random pixels: S3 at the chance floor."""

    def drawn(purpose: Purpose, labels: Tensor, seed: int) -> Tensor:
        rng = torch.Generator().manual_seed(seed)
        return torch.randint(0, 256, (len(labels), *train.frames.shape[1:]), generator=rng, dtype=torch.uint8)

    return drawn


RUNGS: dict[str, Rung] = {
    "real": real,
    "copied train clips": copied_train_clips,
    "shuffled frames": shuffled_frames,
    "single frames": single_frames,
    "shuffled labels": shuffled_labels,
    "noise": noise,
}


def _frames(clips: LabelledClips, purpose: Purpose, labels: Tensor, seed: int) -> Tensor:
    """The clips themselves if `labels` are theirs, else clips with these labels, each equally often."""
    if purpose in ("train", "test") and torch.equal(labels, clips.labels):
        return clips.frames
    return clips_of_labels(clips, labels, seed)


def clips_of_labels(clips: LabelledClips, labels: Tensor, seed: int) -> Tensor:
    """uint8 (n, T, H, W, C): clips with the classes `labels` (n,), in random order, repeated only after all others.

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
    return clips.frames[chosen]

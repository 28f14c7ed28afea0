"""The calibration ladder: what a protocol's score says of clips whose worth is known, so that a number means something."""

from collections.abc import Callable

import torch
from torch import Tensor

from videogan.classifiers.fit import LabelledClips
from videogan.metrics.motion_health import repeat_single_frame, shuffle_frames
from videogan.protocols.s3 import Purpose, SyntheticSet

Rung = Callable[[LabelledClips, LabelledClips], SyntheticSet]
"""(real train clips, real test clips) -> what stands in for a generator's clips."""


def real(train: LabelledClips, test: LabelledClips) -> SyntheticSet:
    """The real clips themselves: S3 = 1, for both trainings and both tests are the same."""
    return lambda purpose, labels, seed: _frames(train if purpose == "train" else test, purpose, labels, seed)


def copied_train_clips(train: LabelledClips, test: LabelledClips) -> SyntheticSet:
    """Training clips copied: S3 near or above 1, though nothing was generated; only memorisation shows in it."""
    return lambda purpose, labels, seed: _frames(train, purpose, labels, seed)


def shuffled_frames(train: LabelledClips, test: LabelledClips) -> SyntheticSet:
    """Real clips, each with its frames in a random order: what a score loses tells what motion is worth to it."""
    whole = real(train, test)
    return lambda purpose, labels, seed: shuffle_frames(whole(purpose, labels, seed), seed)


def single_frames(train: LabelledClips, test: LabelledClips) -> SyntheticSet:
    """Real clips of one frame, repeated: appearance without motion."""
    whole = real(train, test)
    return lambda purpose, labels, seed: repeat_single_frame(whole(purpose, labels, seed), seed)


def shuffled_labels(train: LabelledClips, test: LabelledClips) -> SyntheticSet:
    """Real clips under the labels of others: realism without the class."""

    def mislabelled(purpose: Purpose, labels: Tensor, seed: int) -> Tensor:
        clips = train if purpose == "train" else test
        order = torch.randperm(len(clips), generator=torch.Generator().manual_seed(seed))
        return clips.frames[order[torch.arange(len(labels)) % len(order)]]

    return mislabelled


def noise(train: LabelledClips, test: LabelledClips) -> SyntheticSet:
    """Pixels drawn uniformly: S3 at the chance floor."""

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
    """The clips themselves where `labels` are theirs, else clips of the wanted labels, each as often as the others."""
    if purpose in ("train", "test") and torch.equal(labels, clips.labels):
        return clips.frames
    return clips_of_labels(clips, labels, seed)


def clips_of_labels(clips: LabelledClips, labels: Tensor, seed: int) -> Tensor:
    """uint8 (n, T, H, W, C): for each of `labels` (n,) a clip of that class, in random order, none twice before all once.

    Raises ValueError where a wanted class has no clip.
    """
    rng = torch.Generator().manual_seed(seed)
    chosen = torch.empty_like(labels)
    for label in labels.unique().tolist():
        members = (clips.labels == label).nonzero().flatten()
        if not len(members):
            raise ValueError(f"every class that is wanted needs a clip to choose from, got none of class {label}.")
        places = (labels == label).nonzero().flatten()
        order = members[torch.randperm(len(members), generator=rng)]
        chosen[places] = order[torch.arange(len(places)) % len(members)]
    return clips.frames[chosen]

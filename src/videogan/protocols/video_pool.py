"""Videos made by another program, scored in place of a generator's: with labels, or for FVD without."""

from dataclasses import dataclass

import torch
from torch import Tensor

from videogan.data.clip_set import ClipSet, RealSet, Subset
from videogan.protocols.ladder import clips_of_labels
from videogan.protocols.s3 import Purpose
from videogan.protocols.standard_fvd import spread


class VideoPool:
    """A SyntheticSet of random windows of given clips: a fixed part of each class is the test set, the rest trains.

    A class with at least as many clips as the real train and test sets together gives each real clip a different one.
    Smaller classes (`short_classes`) are divided in the sets' proportion, and clips are repeated. Raises ValueError if
    a class has fewer than 2 clips or the number of classes differs. Randomness: `seed` decides the parts.
    """

    def __init__(self, clips: RealSet, train: ClipSet, test: ClipSet, seed: int = 0) -> None:
        if not clips.n_classes == train.n_classes == test.n_classes:
            raise ValueError(
                f"the videos must have the data set's {train.n_classes} classes, got {clips.n_classes} classes."
            )
        wanted_train, wanted_test = (torch.bincount(c.labels, minlength=clips.n_classes) for c in (train, test))
        n_of_class = torch.bincount(clips.labels, minlength=clips.n_classes)
        too_few = (n_of_class < 2).nonzero().flatten().tolist()
        if too_few:
            raise ValueError(
                f"each class needs at least 2 videos, one for training and one for testing, got fewer of {too_few}."
            )
        self.short_classes = (n_of_class < wanted_train + wanted_test).nonzero().flatten().tolist()
        rng = torch.Generator().manual_seed(seed)
        of_test = torch.zeros(len(clips), dtype=torch.bool)
        for label in range(clips.n_classes):
            members = (clips.labels == label).nonzero().flatten()
            n_train, n_test = wanted_train[label].item(), wanted_test[label].item()
            share = round(len(members) * n_test / max(1, n_train + n_test))
            n_for_test = max(1, min(share, len(members) - 1)) if label in self.short_classes else n_test
            of_test[members[torch.randperm(len(members), generator=rng)[:n_for_test]]] = True
        self._clips = clips
        self._parts = {"test": of_test.nonzero().flatten(), "train": (~of_test).nonzero().flatten()}

    def __call__(self, purpose: Purpose, labels: Tensor, seed: int) -> ClipSet:
        """Random windows of clips with the given `labels` (n,); of any clips if the purpose is "unlabelled"."""
        if purpose == "unlabelled":
            return spread(self._clips, len(labels), seed)
        shown = self._clips.random(seed)
        part = Subset(shown, self._parts[purpose]) if purpose in self._parts else shown
        return clips_of_labels(part, labels, seed)


@dataclass(frozen=True)
class UnlabelledVideos:
    """A SyntheticSet of random windows of given clips, whatever labels are asked for: equally many of each clip."""

    clips: RealSet

    def __call__(self, purpose: Purpose, labels: Tensor, seed: int) -> ClipSet:
        return spread(self.clips, len(labels), seed)

"""Videos that another program made, in place of a generator: parts of one pool stand for the train and the test set."""

import torch
from torch import Tensor

from videogan.classifiers.fit import LabelledClips
from videogan.protocols.ladder import clips_of_labels
from videogan.protocols.s3 import Purpose


class VideoPool:
    """A SyntheticSet of given clips: of each class a fixed part stands for the test set, the rest for the train set.

    A class with at least as many clips as the real train and test set have of it gives each real clip its own; smaller
    ones are shared out in the sets' proportion, and clips are repeated: `short_classes` tells which. Raises ValueError
    where a class has fewer than 2 clips, or the classes are others. Randomness: `seed` decides the parts.
    """

    def __init__(self, clips: LabelledClips, train: LabelledClips, test: LabelledClips, seed: int = 0) -> None:
        if not clips.n_classes == train.n_classes == test.n_classes:
            raise ValueError(
                f"the videos must be of the data set's {train.n_classes} classes, got {clips.n_classes} classes."
            )
        wanted_train, wanted_test = (torch.bincount(c.labels, minlength=clips.n_classes) for c in (train, test))
        n_of_class = torch.bincount(clips.labels, minlength=clips.n_classes)
        too_few = (n_of_class < 2).nonzero().flatten().tolist()
        if too_few:
            raise ValueError(
                f"each class needs at least 2 videos, one to train and one to test on; got fewer of {too_few}."
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
        self._whole = clips
        self._parts = {
            "test": clips.subset(of_test.nonzero().flatten()),
            "train": clips.subset((~of_test).nonzero().flatten()),
        }

    def __call__(self, purpose: Purpose, labels: Tensor, seed: int) -> Tensor:
        """uint8 (n, T, H, W, C) clips of `labels` (n,)."""
        return clips_of_labels(self._parts.get(purpose, self._whole), labels, seed)

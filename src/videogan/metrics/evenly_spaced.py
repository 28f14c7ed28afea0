"""A part of a set of clips that stands for all of it, where a measure of every clip would take too long."""

import torch
from torch import Tensor


def evenly_spaced(clips: Tensor, n_most: int) -> Tensor:
    """At most `n_most` of the `clips` (n, ...), from the first to the last: of sets of one order, the same places."""
    if len(clips) <= n_most:
        return clips
    return clips[torch.linspace(0, len(clips) - 1, n_most).round().long()]

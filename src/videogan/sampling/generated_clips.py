"""The clips of a generator as a set: any number of samples for each label, made when they are read."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from videogan.data.clip_set import Request, Shape
from videogan.families.contract import Generator
from videogan.sampling.sampling import codes, render


class GeneratedClips:
    """One clip for each of `labels` (n,) in each draw, a function of (seed, draw, position, label)."""

    groups = None

    def __init__(
        self, sampler: Generator, labels: Tensor, seed: int, bf16: bool = False, n_frames: int | None = None
    ) -> None:
        """`sampler` is in eval mode; `bf16`: generate under autocast; `n_frames`: T, by default the family's own."""
        self._sampler, self._seed, self._bf16 = sampler, seed, bf16
        self.labels, self.n_classes = labels, sampler.config.n_classes
        size = sampler.config.resolution
        self.shape: Shape = (n_frames or sampler.config.n_frames, size, size, 3)

    def __len__(self) -> int:
        return len(self.labels)

    def windows(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        device = next(self._sampler.parameters()).device
        for rows, draw in requests:
            numbers = (draw * len(self) + rows).tolist()
            z = torch.cat([codes(self._sampler, 1, self._seed, number, self.shape[0]) for number in numbers])
            with torch.autocast(device.type, torch.bfloat16, enabled=self._bf16):
                yield render(self._sampler, z, self.labels[rows], self.shape[0])

"""Which part of a batch a data-parallel process computes on, and what the processes tell each other."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Shard:
    """Which part of each global batch a process trains on."""

    rank: int = 0
    n_ranks: int = 1

    def of(self, tensor: Tensor) -> Tensor:
        """This rank's rows of a tensor whose first dimension is the global batch."""
        per_rank = len(tensor) // self.n_ranks
        return tensor[self.rank * per_rank : (self.rank + 1) * per_rank]

    def uneven_part(self, n: int, at_least: int = 1) -> Tensor:
        """This rank's of the positions 0 to n - 1: nearly equally many for each rank, and all of them given to one.

        No part is smaller than `at_least` (where n is not): the last ranks get none rather than too few.
        """
        parts = torch.arange(n).tensor_split(max(1, min(self.n_ranks, n // at_least)))
        return parts[self.rank] if self.rank < len(parts) else torch.arange(0)

    def gathered(self, tensor: Tensor) -> Tensor:
        """The global batch's rows, put together from all ranks."""
        if self.n_ranks == 1:
            return tensor
        parts = [torch.empty_like(tensor) for _ in range(self.n_ranks)]
        torch.distributed.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    def take_first_ranks_(self, buffers: Iterable[Tensor]) -> None:
        """Replaces each buffer by rank 0's."""
        if self.n_ranks > 1:
            for buffer in buffers:
                torch.distributed.broadcast(buffer, src=0)

    def averaged(self, tensor: Tensor) -> Tensor:
        """The mean over ranks; a NaN on any rank is a NaN on all, so that all end together."""
        if self.n_ranks > 1:
            torch.distributed.all_reduce(tensor)
            tensor /= self.n_ranks
        return tensor

"""The part of a batch that a data-parallel process computes on, and what processes exchange."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

SECONDS_BETWEEN_CHECKS = 0.5
Own = TypeVar("Own")


@dataclass(frozen=True)
class Shard:
    """The part of each global batch that a process trains on."""

    rank: int = 0
    n_ranks: int = 1

    def of(self, tensor: Tensor) -> Tensor:
        """This rank's rows of a tensor whose first dimension is the global batch."""
        per_rank = len(tensor) // self.n_ranks
        return tensor[self.rank * per_rank : (self.rank + 1) * per_rank]

    def uneven_part(self, n: int, at_least: int = 1) -> Tensor:
        """This rank's part of the positions 0 to n - 1, which are split nearly evenly over the ranks.

        No part has fewer than `at_least` positions (unless n < at_least): then the last ranks get none.
        """
        parts = torch.arange(n).tensor_split(max(1, min(self.n_ranks, n // at_least)))
        return parts[self.rank] if self.rank < len(parts) else torch.arange(0)

    def gathered(self, tensor: Tensor) -> Tensor:
        """The rows of the global batch, concatenated from all ranks."""
        if self.n_ranks == 1:
            return tensor
        parts = [torch.empty_like(tensor) for _ in range(self.n_ranks)]
        torch.distributed.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    def take_first_ranks_(self, buffers: Iterable[Tensor]) -> None:
        """Replace each buffer by rank 0's."""
        if self.n_ranks > 1:
            for buffer in buffers:
                torch.distributed.broadcast(buffer, src=0)

    def wait_for_first(self, event: str) -> None:
        """Return on every rank once rank 0 has come here; `event` is a name that a process group uses once."""
        if self.n_ranks > 1:
            self._wait_for(range(1), event, lambda: None)

    def collected(self, own: Own, event: str, meanwhile: Callable[[], None] = lambda: None) -> list[Own]:
        """What each rank gives as `own`, by rank and on every rank, once all ranks have come here.

        own: anything that pickle takes. event: as of `wait_for_first`. `meanwhile` is called again and again while this
        rank waits; it must not raise, because the other ranks would wait for this one.
        """
        if self.n_ranks == 1:
            return [own]
        self._wait_for(range(self.n_ranks), event, meanwhile)
        parts: list[Own] = [own] * self.n_ranks
        torch.distributed.all_gather_object(parts, own)
        return parts

    def _wait_for(self, ranks: range, event: str, meanwhile: Callable[[], None]) -> None:
        """Return once `ranks` have come here.

        For work that may take hours: a collective gives up after half an hour, and keeps a waiting GPU busy.
        """
        store = torch.distributed.distributed_c10d._get_default_store()
        store.set(f"{event} {self.rank}", "")
        while not store.check([f"{event} {rank}" for rank in ranks]):
            time.sleep(SECONDS_BETWEEN_CHECKS)
            meanwhile()

    def averaged(self, tensor: Tensor) -> Tensor:
        """The mean over ranks; a NaN on one rank becomes a NaN on all, so that all stop together."""
        if self.n_ranks > 1:
            torch.distributed.all_reduce(tensor)
            tensor /= self.n_ranks
        return tensor

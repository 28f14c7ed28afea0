"""Parts of a batch for each rank."""

import pytest
import torch

from videogan.shard import Shard


@pytest.mark.parametrize(
    ("n", "n_ranks", "at_least", "sizes"),
    [(8, 2, 1, [4, 4]), (7, 3, 2, [3, 2, 2]), (5, 3, 2, [3, 2, 0]), (1, 2, 2, [1, 0]), (2, 3, 1, [1, 1, 0])],
)
def test_uneven_parts_cover_the_batch_once_and_no_part_is_too_small(n, n_ranks, at_least, sizes):
    parts = [Shard(rank, n_ranks).uneven_part(n, at_least) for rank in range(n_ranks)]
    assert [len(part) for part in parts] == sizes
    assert torch.equal(torch.cat(parts), torch.arange(n))

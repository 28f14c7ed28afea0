"""Parts of a batch for each rank."""

import time
from pathlib import Path

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


def _waits(rank: int, folder: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    shard, scored = Shard(rank, 2), Path(folder) / "scored"
    if rank == 0:
        time.sleep(1)
        scored.touch()
    shard.wait_for_first("scored")
    assert scored.exists()
    assert shard.averaged(torch.tensor([float(rank)])).item() == 0.5
    torch.distributed.destroy_process_group()


def test_other_ranks_wait_until_the_first_has_come_and_then_compute_with_it(tmp_path):
    torch.multiprocessing.start_processes(_waits, (str(tmp_path),), nprocs=2, start_method="fork")


def _collects(rank: int, folder: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    shard, seen = Shard(rank, 2), Path(folder) / "the first waits"
    while rank == 1 and not seen.exists():
        time.sleep(0.1)
    own = {"rank": rank, "values": torch.arange(rank)} if rank == 0 else ValueError("no values")
    parts = shard.collected(own, "found", seen.touch if rank == 0 else lambda: None)
    assert parts[0]["rank"] == 0
    assert str(parts[1]) == "no values"
    torch.distributed.destroy_process_group()


def test_what_each_rank_found_is_collected_however_long_one_takes(tmp_path):
    torch.multiprocessing.start_processes(_collects, (str(tmp_path),), nprocs=2, start_method="fork")


def test_one_rank_waits_for_nobody():
    Shard().wait_for_first("scored")
    assert Shard().collected("own", "found") == ["own"]

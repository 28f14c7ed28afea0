"""Prefetching keeps the source's batches and errors, at the calls that request them, and leaves no thread behind."""

import queue
import threading
import time

import pytest
import torch

from videogan.config import parse_config
from videogan.data.clips import TrainingClips
from videogan.data.prefetch import PrefetchedClips
from videogan.training.loop import train
from videogan.training.run_config import RunConfig


class Slow:
    """A clip source whose batches each take `seconds`."""

    def __init__(self, clips: TrainingClips, seconds: float) -> None:
        self.clips, self.seconds = clips, seconds
        self.label_counts, self.manifest_digest = clips.label_counts, clips.manifest_digest

    def batch(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        time.sleep(self.seconds)
        return self.clips.batch(index)


class Counted:
    """A source of `n` batches of numbers that records the requests and their threads; `open` holds them back."""

    label_counts, manifest_digest = torch.tensor([3, 1]), "numbers"

    def __init__(self, n: int = 100) -> None:
        self.n, self.open = n, threading.Event()
        self.open.set()
        self.requests, self.threads, self.given = [], set(), queue.Queue()

    def batch(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.requests.append(index)
        self.threads.add(threading.get_ident())
        assert self.open.wait(60)
        self.given.put(index)
        if index >= self.n:
            raise LookupError(f"no batch {index}")
        return torch.full((2, 3), index), torch.tensor([index, index])


def test_the_batches_are_the_sources_own_from_any_index_on(store):
    plain = TrainingClips(store, 8, 16, seed=5)
    with PrefetchedClips(TrainingClips(store, 8, 16, seed=5)) as ahead:
        assert torch.equal(ahead.label_counts, plain.label_counts)
        assert ahead.manifest_digest == plain.manifest_digest == store.manifest.digest
        # In order, then far ahead, the same index again, and back.
        for index in (0, 1, 2, 37, 38, 38, 3):
            for one, other in zip(ahead.batch(index), plain.batch(index), strict=True):
                assert torch.equal(one, other)
                assert one.dtype == other.dtype


def test_the_next_batch_is_fetched_while_the_step_computes():
    source = Counted()
    with PrefetchedClips(source) as ahead:
        ahead.batch(0)
        assert [source.given.get(timeout=60) for _ in range(2)] == [0, 1], "batch 1 was fetched before its request"
        source.open.clear()
        assert ahead.batch(1)[1].tolist() == [1, 1], "batch 1 is there although the source is blocked"
        source.open.set()


def test_only_the_prefetching_thread_reads_the_source():
    source = Counted()
    with PrefetchedClips(source) as ahead:
        for index in (0, 1, 5, 6, 2, 3):
            ahead.batch(index)
    assert len(source.threads) == 1
    assert threading.get_ident() not in source.threads


def test_an_error_of_the_source_is_raised_by_the_request_for_its_batch():
    with PrefetchedClips(Counted(n=2)) as ahead:
        assert [int(ahead.batch(index)[1][0]) for index in (0, 1)] == [0, 1]
        for _ in range(2):
            with pytest.raises(LookupError, match="no batch 2"):
                ahead.batch(2)
        assert int(ahead.batch(1)[1][0]) == 1


def test_an_error_of_a_batch_that_is_never_requested_is_not_raised():
    with PrefetchedClips(Counted(n=1)) as ahead:
        ahead.batch(0)


def test_no_thread_is_left_however_it_ends():
    before = threading.active_count()
    with PrefetchedClips(Counted()) as ahead:
        ahead.batch(0)
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    with PrefetchedClips(Counted(n=1)) as ahead:
        ahead.batch(0)
        with pytest.raises(LookupError):
            ahead.batch(1)
    assert threading.active_count() == before
    with pytest.raises(RuntimeError):
        ahead.batch(1)


def test_a_step_reports_its_waiting_time_and_prefetching_does_not_change_the_batches(store):
    model = {"family": "mvt", "n_classes": len(store.classes), "resolution": 32, "channels": 4, "gru_hidden": 16}
    loop = {"n_steps": 4, "batch_size": 4, "n_d": 2}
    values = {"model": model, "loop": loop, "evaluation": {"protocol": "s3_r3d18_smoke_v2"}}
    config = parse_config(RunConfig, values)
    slow = Slow(TrainingClips(store, 4, 16, config.seed), seconds=0.02)
    waiting = list(train(config, slow))
    assert all(0.04 <= progress.seconds_waiting < progress.seconds for progress in waiting)
    with PrefetchedClips(slow) as ahead:
        ready = list(train(config, ahead))
    assert [progress.losses for progress in ready] == [progress.losses for progress in waiting]

"""Runs many simulations of recorded trials, in several processes if that helps."""

import random
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Protocol

import numpy as np
import torch

from vgsearch.replay.prunings import WatchedTrials
from vgsearch.replay.recorded import RecordedTrials
from vgsearch.runtime.study.simulated_pruning import simulated_pruning
from vgsearch.runtime.study.simulated_search import distance_between_proposals, simulated_search
from vgsearch.runtime.waits.waiting import waiting
from vgsearch.space.sweep import Sweep

BLOCK = 5
"""Repeats that a process simulates before it reports."""
LEAST_BLOCKS = 20
"""For a process: with fewer, the seconds in which it starts would cost more than it saves."""


class Simulation(Protocol):
    """What happens once in a sweep, simulated; random by `seed` alone."""

    def run(self, seed: int) -> np.ndarray: ...


@dataclass(frozen=True)
class SearchSimulation:
    """One search; the rows that it finishes (trials), in order."""

    sweep: Sweep
    recorded: RecordedTrials
    n_trials: int
    at_once: int
    paper_first: bool

    def run(self, seed: int) -> np.ndarray:
        sweep = self.sweep.model_copy(update={"seed": seed})
        return np.array(simulated_search(sweep, self.recorded, self.n_trials, self.at_once, self.paper_first))


@dataclass(frozen=True)
class SpreadSimulation:
    """The mean distance () between proposals of `n` trials at once, which know of one another if `told`."""

    sweep: Sweep
    recorded: RecordedTrials
    n: int
    told: bool

    def run(self, seed: int) -> np.ndarray:
        sweep = self.sweep.model_copy(update={"seed": seed})
        return np.array(distance_between_proposals(sweep, self.recorded, self.n, self.told))


@dataclass(frozen=True)
class PruningSimulation:
    """The trials in random order; the step at which each is pruned (n), 0 if it is kept."""

    sweep: Sweep
    recorded: RecordedTrials
    trials: WatchedTrials
    looks: np.ndarray
    """Smoothed (n, looks), in the direction of the study."""

    def run(self, seed: int) -> np.ndarray:
        order = random.Random(seed).sample(range(len(self.looks)), len(self.looks))
        return simulated_pruning(self.sweep, self.recorded, self.trials, self.looks, order)


def simulated(
    simulations: Sequence[tuple[Simulation, Sequence[int]]],
    n_processes: int = 1,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> list[np.ndarray]:
    """Each simulation at each of its seeds: (seeds, ...); the number of processes changes no result.

    `told(done, total)` is called with numbers of blocks.
    """
    blocks = [
        (simulation, seeds[start : start + BLOCK])
        for simulation, seeds in simulations
        for start in range(0, len(seeds), BLOCK)
    ]
    found = list[list[np.ndarray]]()
    ends = "it ends when all are done; Ctrl-C stops after those that run"
    with (
        waiting("simulated searches", ends, lambda: f"{len(found)} of {len(blocks)} parts"),
        _mapped(blocks, n_processes) as results,
    ):
        for result in results:
            found.append(result)
            told(len(found), len(blocks))
    each = iter(row for result in found for row in result)
    return [np.stack([next(each) for _ in seeds]) for _, seeds in simulations]


@contextmanager
def _mapped(
    blocks: Sequence[tuple[Simulation, Sequence[int]]], n_processes: int
) -> Iterator[Iterator[list[np.ndarray]]]:
    n_processes = min(n_processes, len(blocks) // LEAST_BLOCKS)
    if n_processes < 2:
        yield map(_block, blocks)
        return
    # Not forked: torch has threads, which a fork does not copy.
    with ProcessPoolExecutor(n_processes, get_context("spawn"), _start_process) as pool:
        try:
            yield pool.map(_block, blocks)
        finally:
            pool.shutdown(cancel_futures=True)


def _start_process() -> None:
    """Use one thread, and leave Ctrl-C to the main process, which then lets the running blocks end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _block(block: tuple[Simulation, Sequence[int]]) -> list[np.ndarray]:
    simulation, seeds = block
    return [simulation.run(seed) for seed in seeds]

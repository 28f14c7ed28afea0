"""The Ray of this process: a local one for the time of a command, or a running cluster."""

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import ray

# An internal of Ray 2.60, which pyproject.toml pins: what prints its errors.
from ray._private import worker as ray_worker

from vgsearch.runtime.cluster.autoscaler import addable_nodes
from vgsearch.runtime.cluster.guard import guarded
from vgsearch.runtime.cluster.signals import interrupt, on_ending_signal, raised_by_handlers
from vgsearch.runtime.cluster.start import replaced, start_ray
from vgsearch.runtime.waits.waiting import tell, waiting
from vgsearch.runtime.waits.watch import stopped_ones_killed, watched
from videogan.amounts import n_of
from videogan.config import ConfigurationError


@dataclass(frozen=True)
class Node:
    """The resources of one node; memory is what Ray may give to its workers."""

    n_cpus: float
    n_gpus: float = 0.0
    memory_bytes: float = math.inf

    def n_workers(self, gpus_per_worker: float) -> int:
        """Number of workers with one CPU that fit on it; several may share a GPU, but no worker uses parts of two."""
        by_cpu = math.floor(self.n_cpus)
        if not gpus_per_worker:
            return by_cpu
        return min(by_cpu, math.floor(self.n_gpus) * math.floor(1 / gpus_per_worker + 1e-9))


@dataclass(frozen=True)
class Resources:
    """The nodes of a cluster: the present ones, and those that its autoscaler adds on demand."""

    present: tuple[Node, ...]
    addable: tuple[Node, ...] = ()

    @property
    def nodes(self) -> tuple[Node, ...]:
        return self.present + self.addable

    @property
    def n_nodes(self) -> int:
        return len(self.nodes)

    @property
    def n_cpus(self) -> float:
        return sum(node.n_cpus for node in self.nodes)

    @property
    def n_gpus(self) -> float:
        return sum(node.n_gpus for node in self.nodes)

    def max_concurrent(self, n_workers: int, gpus_per_worker: float, reserved_cpus: float = 0) -> int:
        """Number of trials that fit in parallel; raises ConfigurationError with the remedy if none ever fits."""
        refuse_impossible_gpus(n_workers, gpus_per_worker)
        if gpus_per_worker and not self.n_gpus:
            raise ConfigurationError(
                f"--gpus-per-worker {gpus_per_worker:g}: no node has a GPU. Use --gpus-per-worker 0."
            )
        n_fit = sum(node.n_workers(gpus_per_worker) for node in self.nodes)
        n_trials = math.floor(min(n_fit, self.n_cpus - reserved_cpus) / n_workers)
        if n_trials < 1:
            kept = f", {reserved_cpus:g} of them reserved for decoding" if reserved_cpus else ""
            raise ConfigurationError(
                f"a trial needs {n_of(n_workers, 'worker')} with 1 CPU and {gpus_per_worker:g} GPU each; the cluster has "
                f"{self.n_cpus:g} CPUs{kept} and {self.n_gpus:g} GPUs. Lower --workers-per-trial or add nodes."
            )
        return n_trials


def refuse_impossible_gpus(n_workers: int, gpus_per_worker: float) -> None:
    """Raise ConfigurationError for more than one GPU a worker, and for workers of one trial that would share a GPU."""
    if gpus_per_worker > 1:
        raise ConfigurationError(
            f"--gpus-per-worker must be 0, a part of one GPU or 1, since a worker computes on one; got "
            f"{gpus_per_worker:g}. For several GPUs a trial use --workers-per-trial {math.ceil(gpus_per_worker)} "
            "--gpus-per-worker 1."
        )
    if n_workers > 1 and 0 < gpus_per_worker < 1:
        raise ConfigurationError(
            f"--gpus-per-worker {gpus_per_worker:g}: the {n_workers} workers of a trial must each have a GPU of their "
            "own, which NCCL needs. Use --gpus-per-worker 1, or --workers-per-trial 1 to run several trials on a GPU."
        )


@contextmanager
def connect(address: str | None = None) -> Iterator[Resources]:
    """Connect to the cluster at `address` (or RAY_ADDRESS), else start a local Ray that ends with the command.

    Signals that end a command raise KeyboardInterrupt; RayLost is raised if Ray dies meanwhile. Raises as `start_ray`.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    with guarded() as marking, on_ending_signal(interrupt):
        with marking:
            is_cluster = start_ray(address)
        # Again: Ray's start sets its own handler of SIGTERM, which prints where the command was.
        with on_ending_signal(interrupt), _short_errors(), watched(_shut_down), raised_by_handlers():
            yield resources(is_open=is_cluster)


def _short_errors() -> AbstractContextManager[None]:
    """Tell Ray's errors, such as a worker's death, in one line on stderr: stdout may be read by a program."""

    def tell_first_sentence(error: Mapping[str, Any], **options: Any) -> None:
        tell(f"Ray: {error['lines'][0].partition('. ')[0]}")

    return replaced(ray_worker, "print_to_stdstream", tell_first_sentence)


def _shut_down() -> None:
    with waiting("Ray's end", "Ctrl-C leaves it"), stopped_ones_killed():
        ray.shutdown()


def resources(is_open: bool = True) -> Resources:
    """The nodes of the connected cluster, and if `is_open` those that its autoscaler could add."""
    present = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return Resources(tuple(map(_node, present)), tuple(map(_node, addable_nodes(present) if is_open else ())))


def _node(amounts: Mapping[str, float]) -> Node:
    return Node(amounts.get("CPU", 0.0), amounts.get("GPU", 0.0), amounts.get("memory", math.inf))

"""The share of a GPU that a trial gets where the user leaves it open: small networks leave most of a GPU idle."""

import math

from rich.console import Console

from vgsearch.runtime.cluster.cluster import Resources
from vgsearch.runtime.cluster.memory import largest_corner
from vgsearch.space.sweep import Sweep
from videogan.training.fitting import process_bytes
from videogan.training.forecast import forecast
from videogan.training.gpus import GPUS

SECONDS_TO_QUEUE = 0.04
"""In which a CPU core queues the operations of a step: about 4,000 at 10 microseconds each. Assumed, not measured."""
SLOWEST = GPUS["T4"]
MOST_TRIALS = 4
SPARE = 2.0
"""Memory over that of a training: of the score's classifiers and clips."""


def with_usual_share(sweep: Sweep, cluster: Resources, least_gpu: float, console: Console) -> Sweep:
    """`sweep` with a GPU for each trial, or a part of one if several trials fit one and none alone keeps it busy.

    least_gpu: bytes of the smallest GPU. Prints why trials share GPUs. Trials of several workers and of programs get a
    whole GPU for each worker, and trials on a cluster without GPUs none.
    """
    if not cluster.n_gpus or sweep.n_workers > 1 or sweep.space.is_of_program:
        return sweep.model_copy(update={"gpus_per_worker": 1.0 if cluster.n_gpus else 0.0})
    cost = forecast(largest_corner(sweep))
    of_step = SLOWEST.seconds(cost.flops_per_step, cost.bytes_moved_per_step, "fp32")
    assert of_step is not None, "every GPU has fp32"
    cores = min(node.n_cpus / node.n_gpus for node in cluster.nodes if node.n_gpus)
    at_once = min(sweep.n_trials, sweep.max_concurrent or sweep.n_trials)
    most = min(cores, math.ceil(at_once / cluster.n_gpus))
    n = n_sharing(max(of_step), SPARE * process_bytes(cost) / least_gpu, most)
    if n > 1:
        console.print(
            f"{n} trials share a GPU: a step of this network is too short to keep one busy (by the forecast; no GPU "
            "was measured); --gpus-per-worker 1 gives each trial its own",
            soft_wrap=True,
        )
    return sweep.model_copy(update={"gpus_per_worker": 1 / n})


def n_sharing(seconds: float, share_of_memory: float, most: float) -> int:
    """Trials that share a GPU, 1 to MOST_TRIALS.

    seconds: of a step on the device; share_of_memory: of a GPU, for one trial; most: by cores and by trials.
    """
    return max(1, min(MOST_TRIALS, *(math.floor(n) for n in (SECONDS_TO_QUEUE / seconds, 1 / share_of_memory, most))))

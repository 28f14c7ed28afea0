"""Whether the largest trial of a space fits into memory: one training step on a worker, before a sweep starts."""

import math
import resource
from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple

import ray
import torch
from rich.console import Console

from vgsearch.runtime.cluster.cluster import Resources
from vgsearch.runtime.waits.beats import beating
from vgsearch.runtime.waits.failed_task import TaskFailed, why_failed
from vgsearch.runtime.waits.waiting import waiting
from vgsearch.runtime.waits.watch import TaskStalled, state_of_tasks, why_ended
from vgsearch.space.domains import ChoiceDomain, is_active
from vgsearch.space.sweep import Sweep
from vgsearch.terminal.words import size
from videogan.config import ConfigurationError, parse_config
from videogan.data.manifest import Manifest
from videogan.out_of_memory import is_out_of_memory
from videogan.shard import Shard
from videogan.training.fitting import as_options, settings_that_fit
from videogan.training.forecast import bucket_bytes, checkpoint_bytes
from videogan.training.loop import Training
from videogan.training.run_config import RunConfig

BYTES_FP32 = 4
PROCESS_BYTES = 0.7e9
"""Memory of a worker with torch and Ray loaded, before it trains."""
ACTIVATIONS = 0.13
"""Bytes of activations, divided by the bytes of a batch and by the square root of the numbers in a checkpoint. More
than any shipped network has: weights grow with the square of the width, activations with the width, and MVT-GAN has
0.04 at 8 and at 96 channels, Progressive VGAN with its gradient penalty 0.12."""
STEP = "one step of the largest trial"
TINY = 0.5
"""If the estimate is below this share of the available memory, no step is tried."""


def refuse_what_memory_cannot_hold(
    sweep: Sweep, manifest: Manifest, cluster: Resources, console: Console, least_gpu: float = math.inf
) -> None:
    """Train one step of the space's largest trial on a worker, unless a generous estimate is far below the memory.

    Not for programs of others: what they take is unknown.
    least_gpu: bytes of the smallest GPU of the cluster; the step may run on a larger one.
    Prints the result. Raises ConfigurationError if the trials that would run in parallel on a node exceed its memory.
    """
    if sweep.space.is_of_program:
        return
    n_trials = cluster.max_concurrent(sweep.n_workers, sweep.gpus_per_worker)
    n_trials = min(n_trials, sweep.max_concurrent or n_trials)
    share, config = _share_of_a_worker(sweep, cluster, n_trials), largest_corner(sweep)
    clips = _clip_bytes(config, manifest)
    estimate = clips + generous_estimate(config, sweep.n_workers)
    # A step also shows whether a worker can compile one.
    if not sweep.gpus_per_worker and not config.loop.compile and estimate < TINY * share:
        console.print(f"memory: a trial takes less than {size(estimate)} of {size(share)} (estimate)")
        return
    config = largest_corner(sweep, checkpoint_bytes)
    console.print("memory: training one step of the largest trial", soft_wrap=True)
    measured = _measured(sweep, config, share)
    capacity = min(measured.available, least_gpu * (sweep.gpus_per_worker or 1))
    where = "GPU memory" if sweep.gpus_per_worker else "memory"
    needed = measured.peak + bucket_bytes(config, sweep.n_workers) + (0 if sweep.gpus_per_worker else clips)
    if needed > capacity:
        savings = _savings(sweep, config, capacity, measured.has_bf16)
        raise ConfigurationError(_refusal(sweep, config, n_trials, needed, capacity, where, savings))
    console.print(f"memory: the largest trial takes {size(needed)} of {size(capacity)} of {where}", soft_wrap=True)


def generous_estimate(config: RunConfig, n_workers: int = 1) -> float:
    """Upper bound of a worker's bytes: process, weights, gradients, Adam moments and activations in fp32."""
    stored = checkpoint_bytes(config)
    batch = config.loop.batch_size / n_workers * config.model.n_frames * 3 * config.model.resolution**2 * BYTES_FP32
    # A checkpoint has the parameters and their moments: at least twice the bytes of the parameters.
    activations = ACTIVATIONS * math.sqrt(stored / BYTES_FP32) * batch
    return PROCESS_BYTES + 2 * stored + activations


def largest_corner(sweep: Sweep, size: Callable[[RunConfig], float] | None = None) -> RunConfig:
    """The paper's point with each numeric domain at its largest value, and each other domain where `size` is largest.

    Omits inactive conditional domains, and values that the run configuration refuses. Without `size`, other domains
    keep the paper's value.
    """
    chosen = dict(sweep.paper_points[0])
    for path, domain in sweep.domains.items():
        if not is_active(domain, {**sweep.overrides, **chosen}) or not path.startswith(("model.", "loop.")):
            continue
        values = [{**chosen, path: value} for value in domain.ends if _trains(sweep, {**chosen, path: value})]
        if not isinstance(domain, ChoiceDomain) or all(type(value) in (int, float) for value in domain.choices):
            chosen = max(values, key=itemgetter(path), default=chosen)
        elif size is not None:
            chosen = max(values, key=lambda point: size(sweep.family_config(point)), default=chosen)
    return sweep.family_config(chosen)


def _trains(sweep: Sweep, chosen: dict[str, Any]) -> bool:
    try:
        sweep.run_config(chosen, 0)
    except ConfigurationError:
        return False
    return True


def _share_of_a_worker(sweep: Sweep, cluster: Resources, n_trials: int) -> float:
    """Bytes per worker on the node with the least memory for as many workers as it may have to hold."""
    shares = []
    for node in cluster.nodes:
        n_workers = min(node.n_workers(sweep.gpus_per_worker), n_trials * sweep.n_workers)
        shares += [node.memory_bytes / n_workers] if n_workers else []
    return min(shares, default=math.inf)


def _clip_bytes(config: RunConfig, manifest: Manifest) -> float:
    """Bytes of the real clips and as many synthetic ones, which a trial holds while it is scored."""
    return 2 * len(manifest.usable) * config.model.n_frames * 3 * config.model.resolution**2


class MeasuredStep(NamedTuple):
    """Of one step: peak bytes, infinite if memory ran out; the bytes available; whether its device computes in bf16."""

    peak: float
    available: float
    has_bf16: bool


def _measured(sweep: Sweep, config: RunConfig, share: float) -> MeasuredStep:
    """One step on a worker; `available` is a worker's share.

    A worker that died did not say whether its device computes in bf16: a GPU is then taken for one that does not.
    """
    died = MeasuredStep(math.inf, share, has_bf16=not sweep.gpus_per_worker)
    gpus = sweep.gpus_per_worker
    # A separate process, so that its peak memory is that of the step.
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_calls=1, max_retries=0)(_peak_of_a_step)
    running = task.remote(config.model_dump(mode="json"), sweep.n_workers, "cuda" if gpus else "cpu")
    try:
        with waiting(STEP, "it ends after the step; Ctrl-C stops", state_of_tasks(STEP)):
            measured: MeasuredStep = ray.get(running)
    except (ray.exceptions.OutOfMemoryError, ray.exceptions.WorkerCrashedError) as error:
        if reason := why_ended(STEP):
            raise TaskStalled(reason) from error
        return died
    except ray.exceptions.RayTaskError as error:
        if is_out_of_memory(error.cause):
            return died
        raise TaskFailed(f"{STEP} failed: {why_failed(error)}") from error
    # Workers that share a GPU share its memory; a worker with several computes on one of them.
    return measured._replace(available=measured.available * min(gpus, 1) if gpus else share)


def _peak_of_a_step(values: dict[str, Any], n_workers: int, device: str) -> MeasuredStep:
    """A second step on noise in this process; `available` are the GPU's total bytes, 0 on a CPU.

    Of a GPU the peak is all that is taken from it: also the CUDA context, and the memory of other programs.
    """
    torch.set_num_threads(1)
    config = parse_config(RunConfig, values)
    loop = config.loop.model_copy(update={"batch_size": config.loop.batch_size // n_workers})
    config = config.model_copy(update={"loop": loop})
    total = torch.cuda.get_device_properties(0).total_memory if device == "cuda" else 0
    has_bf16 = device == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
    try:
        with beating(STEP):
            training = Training(config, lambda network: network, Shard(), torch.device(device))
            _make_moments_(training)
            # Where parameters rest at first, the networks are largest in the last step.
            for step in (1, config.loop.n_steps) if training.networks.has_idle else (1,):
                training.step_(step, _NoiseClips(config))
    except torch.OutOfMemoryError:
        return MeasuredStep(math.inf, total, has_bf16)
    if device == "cuda":
        free, total = torch.cuda.mem_get_info()
        beside = total - free - torch.cuda.memory_reserved()
        return MeasuredStep(torch.cuda.max_memory_reserved() + beside, total, has_bf16)
    return MeasuredStep(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, 0, has_bf16)


def _make_moments_(training: Training) -> None:
    """An update by gradients of 0: the optimisers' moments and the generator's gradients take memory from then on."""
    for optimiser in (training.optimiser_g, training.optimiser_d):
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        optimiser.step()


class _NoiseClips:
    """Batches of the run's size; their pixels do not matter."""

    manifest_digest = "noise"

    def __init__(self, config: RunConfig) -> None:
        model = config.model
        shape = (config.loop.batch_size, model.n_frames, model.resolution, model.resolution, 3)
        self.label_counts = torch.ones(model.n_classes)
        self._batch = torch.zeros(shape, dtype=torch.uint8), torch.arange(shape[0]) % model.n_classes

    def batch(self, index: int) -> Any:
        return self._batch


def _refusal(
    sweep: Sweep, config: RunConfig, n_trials: int, needed: float, capacity: float, where: str, savings: str
) -> str:
    corner = ", ".join(f"{path} = {value}" for path, value in _sizes(sweep, config).items())
    takes = "more than the available memory" if math.isinf(needed) else size(needed)
    n_fit = 0 if math.isinf(needed) else math.floor(capacity * n_trials / needed)
    fewer = f"Use --max-concurrent {n_fit}, or lower" if 0 < n_fit < n_trials else "Lower"
    return (
        f"{where}: the largest trial ({corner}) takes {takes}; with {n_trials} trials in parallel "
        f"each has {size(capacity)}. "
        f"{fewer} its size, e.g. --set loop.batch_size={max(2, config.loop.batch_size // 2)}{savings}."
    )


def _savings(sweep: Sweep, config: RunConfig, capacity: float, has_bf16: bool) -> str:
    """Settings with which the same batch fits by the forecast, if any do."""
    settings = settings_that_fit(config, capacity, sweep.n_workers, has_bf16=has_bf16)
    return f"; the same batch fits with {as_options(settings)}" if settings else ""


def _sizes(sweep: Sweep, config: RunConfig) -> dict[str, Any]:
    """The values of the largest trial that a user may lower: its batch size, and searched integers of the model."""
    model = {path: getattr(config.model, path.removeprefix("model."), None) for path in sweep.domains}
    integers = {path: value for path, value in model.items() if type(value) is int}
    return {"loop.batch_size": config.loop.batch_size, **integers}

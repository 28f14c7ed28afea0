"""Whether the largest trial of a space fits into memory: one step of it is tried on a worker before a sweep starts."""

import math
from collections.abc import Callable
from typing import Any

import ray
from rich.console import Console

from vgsearch.experiment.retention import told_size
from vgsearch.runtime.cluster.cluster import Resources
from vgsearch.space.domains import ChoiceDomain, is_active
from vgsearch.space.sweep import Sweep
from videogan.config import ConfigurationError, parse_config
from videogan.data.manifest import Manifest
from videogan.training.forecast import checkpoint_bytes
from videogan.training.run_config import RunConfig

BYTES_FP32 = 4
PROCESS_BYTES = 0.7e9
"""A worker with torch and Ray loaded, before it trains."""
ACTIVATIONS = 0.08
"""Times the bytes of a batch and the root of the numbers in a checkpoint, twice what any shipped network keeps for its backward
passes: numbers grow with the square of the width, activations with the width; MVT-GAN keeps 0.04 at 8 and at 96 channels."""
TINY = 0.5
"""Share of a trial's memory below which such an estimate needs no trial step."""


def refuse_what_memory_cannot_hold(sweep: Sweep, manifest: Manifest, cluster: Resources, console: Console) -> None:
    """Tries one step of the space's largest corner on a worker, unless an estimate says that it is tiny; tells which.

    Raises ConfigurationError where as many trials as would run side by side on a node exceed its memory.
    """
    n_trials = cluster.max_concurrent(sweep.n_workers, sweep.gpus_per_worker)
    n_trials = min(n_trials, sweep.max_concurrent or n_trials)
    share, config = _share_of_a_worker(sweep, cluster, n_trials), largest_corner(sweep)
    clips = _clip_bytes(config, manifest)
    estimate = clips + generous_estimate(config, sweep.n_workers)
    if not sweep.gpus_per_worker and estimate < TINY * share:
        console.print(f"memory: a trial surely takes less than {told_size(estimate)} of {told_size(share)}, not tried")
        return
    config = largest_corner(sweep, checkpoint_bytes)
    console.print("memory: trying one step of the largest trial", soft_wrap=True)
    peak, capacity = _tried(sweep, config, share)
    where = "GPU memory" if sweep.gpus_per_worker else "memory"
    held = peak if sweep.gpus_per_worker else peak + clips
    if held > capacity:
        raise ConfigurationError(_refusal(sweep, config, n_trials, held, capacity, where))
    console.print(
        f"memory: the largest trial takes {told_size(held)} of {told_size(capacity)} of {where}", soft_wrap=True
    )


def generous_estimate(config: RunConfig, n_workers: int = 1) -> float:
    """Bytes that a worker surely does not exceed: its process, weights, gradients, moments and activations in fp32."""
    stored = checkpoint_bytes(config)
    batch = config.loop.batch_size / n_workers * config.model.n_frames * 3 * config.model.resolution**2 * BYTES_FP32
    # A checkpoint has the parameters and their moments: at least as many bytes as twice the parameters.
    kept = ACTIVATIONS * math.sqrt(stored / BYTES_FP32) * batch
    return PROCESS_BYTES + 2 * stored + kept


def largest_corner(sweep: Sweep, size: Callable[[RunConfig], float] | None = None) -> RunConfig:
    """The paper's point with each numeric domain at its largest value, and with `size` each other one where that is greatest.

    What depends on a value that is not chosen is left out, and so is what cannot train together.
    """
    chosen = dict(sweep.paper_points[0])
    for path, domain in sweep.domains.items():
        if not is_active(domain, {**sweep.overrides, **chosen}) or not path.startswith(("model.", "loop.")):
            continue
        values = [{**chosen, path: value} for value in domain.ends if _trains(sweep, {**chosen, path: value})]
        if not isinstance(domain, ChoiceDomain) or all(type(value) in (int, float) for value in domain.choices):
            chosen = max(values, key=lambda point, path=path: point[path], default=chosen)
        elif size is not None:
            chosen = max(values, key=lambda point: size(sweep.run_config(point, 0)), default=chosen)
    return sweep.run_config(chosen, 0)


def _trains(sweep: Sweep, chosen: dict[str, Any]) -> bool:
    try:
        sweep.run_config(chosen, 0)
    except ConfigurationError:
        return False
    return True


def _share_of_a_worker(sweep: Sweep, cluster: Resources, n_trials: int) -> float:
    """Memory for each worker on the node that has least for as many as it may have to hold."""
    shares = []
    for node in cluster.nodes:
        n_workers = min(node.n_workers(sweep.gpus_per_worker), n_trials * sweep.n_workers)
        shares += [node.memory_bytes / n_workers] if n_workers else []
    return min(shares, default=math.inf)


def _clip_bytes(config: RunConfig, manifest: Manifest) -> float:
    """The real clips that judge, and as many synthetic ones, which a trial holds while it is scored."""
    return 2 * len(manifest.usable) * config.model.n_frames * 3 * config.model.resolution**2


def _tried(sweep: Sweep, config: RunConfig, share: float) -> tuple[float, float]:
    """Peak bytes of one step on a worker, and the bytes it may take; infinite where it was killed for want of memory."""
    gpus = sweep.gpus_per_worker
    # A process of its own, whose peak is the step's.
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_calls=1, max_retries=0)(_peak_of_a_step)
    try:
        peak, of_gpu = ray.get(task.remote(config.model_dump(mode="json"), sweep.n_workers, "cuda" if gpus else "cpu"))
    except (ray.exceptions.OutOfMemoryError, ray.exceptions.WorkerCrashedError):
        return math.inf, share
    # Workers that share a GPU share its memory; one with several has that of the one it computes on.
    return peak, of_gpu * min(gpus, 1) if gpus else share


def _peak_of_a_step(values: dict[str, Any], n_workers: int, device: str) -> tuple[float, float]:
    """Peak bytes of this process, or of its GPU, after one step on noise; and the bytes that the GPU has."""
    import resource

    import torch

    from videogan.shard import Shard
    from videogan.training.loop import Training

    torch.set_num_threads(1)
    config = parse_config(RunConfig, values)
    loop = config.loop.model_copy(update={"batch_size": config.loop.batch_size // n_workers})
    config = config.model_copy(update={"loop": loop})
    total = torch.cuda.get_device_properties(0).total_memory if device == "cuda" else 0
    try:
        Training(config, lambda network: network, Shard(), torch.device(device)).step_(1, _NoiseClips(config))
    except torch.OutOfMemoryError:
        return math.inf, total
    if device == "cuda":
        return torch.cuda.max_memory_reserved(), total
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, 0


class _NoiseClips:
    """Batches of the run's size whose pixels do not matter."""

    manifest_digest = "noise"

    def __init__(self, config: RunConfig) -> None:
        import torch

        model = config.model
        shape = (config.loop.batch_size, model.n_frames, model.resolution, model.resolution, 3)
        self.label_counts = torch.ones(model.n_classes)
        self._batch = torch.zeros(shape, dtype=torch.uint8), torch.arange(shape[0]) % model.n_classes

    def batch(self, index: int) -> Any:
        return self._batch


def _refusal(sweep: Sweep, config: RunConfig, n_trials: int, held: float, capacity: float, where: str) -> str:
    corner = ", ".join(f"{path} = {value}" for path, value in _sizes(sweep, config).items())
    takes = "more than there is" if math.isinf(held) else told_size(held)
    n_fit = 0 if math.isinf(held) else math.floor(capacity * n_trials / held)
    fewer = f"Use --max-concurrent {n_fit}, or lower" if 0 < n_fit < n_trials else "Lower"
    return (
        f"{where}: the largest trial ({corner}) takes {takes}; {n_trials} side by side leave each {told_size(capacity)}. "
        f"{fewer} what makes it large, e.g. --set loop.batch_size={max(2, config.loop.batch_size // 2)}."
    )


def _sizes(sweep: Sweep, config: RunConfig) -> dict[str, Any]:
    """What of the largest corner a user would change: its batch, and the searched values of the model."""
    model = {path: getattr(config.model, path.removeprefix("model."), None) for path in sweep.domains}
    told = {path: value for path, value in model.items() if type(value) is int}
    return {"loop.batch_size": config.loop.batch_size, **told}

"""Settings with which a run fits into a given memory."""

import functools
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from videogan.config import ConfigurationError, parse_config, with_overrides
from videogan.families import FAMILIES
from videogan.training.forecast import Forecast, forecast
from videogan.training.gpus import needed_bytes
from videogan.training.run_config import RunConfig


def settings_that_fit(
    config: RunConfig, n_bytes: float, n_workers: int = 1, *, has_bf16: bool
) -> dict[str, Any] | None:
    """Settings by path with which one GPU of `n_bytes` holds a worker, those that change a run least; None if none do.

    Tried in this order: recomputed activations, which change no number, then with them parts of the batch; the same
    in bf16 if the GPU has it, else all in fp32. A family that does not recompute is tried without.
    """
    for settings in _without_parts(config, has_bf16):
        needed = _bytes_with(config, settings, n_workers)
        if needed <= n_bytes:
            return settings
        if math.isfinite(needed):
            # Memory is a constant and a share of each clip of a part: the first power of two is rarely too small.
            first = math.ceil(math.log2(needed / n_bytes))
            for k in (2**first, 2 ** (first + 1)):
                split = {**settings, "loop.accumulate": config.loop.accumulate * k}
                if _bytes_with(config, split, n_workers) <= n_bytes:
                    return split
    return None


def _without_parts(config: RunConfig, has_bf16: bool) -> Iterator[dict[str, Any]]:
    recomputed = {"loop.checkpoint_activations": True} if FAMILIES[config.model.family].recomputes else {}
    if config.loop.precision == "bf16":
        yield recomputed if has_bf16 else {"loop.precision": "fp32", **recomputed}
        return
    yield recomputed
    if has_bf16:
        yield {"loop.precision": "bf16", **recomputed}


def _bytes_with(config: RunConfig, settings: dict[str, Any], n_workers: int) -> float:
    """`gpu_bytes` under changed settings; infinite if the configuration refuses them."""
    try:
        changed = parse_config(RunConfig, with_overrides(config.model_dump(mode="json"), settings))
    except ConfigurationError:
        return math.inf
    if changed.loop.batch_size % (n_workers * changed.loop.accumulate):
        return math.inf
    return _counted_once(changed.model_dump_json(), n_workers)


@functools.lru_cache(maxsize=64)
def _counted_once(config: str, n_workers: int) -> float:
    """`gpu_bytes` of a configuration as JSON: counting takes seconds at full size, and GPUs share settings."""
    return gpu_bytes(parse_config(RunConfig, json.loads(config)), n_workers)


def gpu_bytes(config: RunConfig, n_workers: int = 1) -> float:
    """Forecast of the GPU memory of one worker, with what a process needs beside its tensors."""
    return process_bytes(forecast(config, n_workers))


def process_bytes(cost: Forecast) -> float:
    """The same of a cost already counted."""
    return needed_bytes(cost.memory_bytes) + cost.bucket_bytes


def as_options(settings: Mapping[str, Any]) -> str:
    """The options of a command that make these settings."""
    return " ".join(f"--set {path}={str(value).lower()}" for path, value in settings.items())

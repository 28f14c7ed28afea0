"""Settings with which a run fits into a given memory."""

from collections.abc import Iterator, Mapping
from typing import Any

from videogan.config import ConfigurationError, parse_config, with_overrides
from videogan.training.forecast import Forecast, forecast
from videogan.training.gpus import needed_bytes
from videogan.training.run_config import RunConfig


def settings_that_fit(config: RunConfig, n_bytes: float, n_workers: int = 1) -> dict[str, Any] | None:
    """The settings that change a run least, by path, for one GPU of `n_bytes` to hold a worker; None if none do.

    Tried in this order: recomputed activations (equal numbers), parts of the batch, both, and the same in bf16.
    """
    for settings in _from_least_change(config):
        try:
            changed = parse_config(RunConfig, with_overrides(config.model_dump(mode="json"), settings))
        except ConfigurationError:
            continue  # a family or a loss that refuses it
        parts = n_workers * changed.loop.accumulate
        if changed.loop.batch_size % parts == 0 and gpu_bytes(changed, n_workers) <= n_bytes:
            return settings
    return None


def gpu_bytes(config: RunConfig, n_workers: int = 1) -> float:
    """Forecast of the GPU memory of one worker, with what a process needs beside its tensors."""
    return process_bytes(forecast(config, n_workers))


def process_bytes(cost: Forecast) -> float:
    """The same of a cost already counted."""
    return needed_bytes(cost.memory_bytes) + cost.bucket_bytes


def as_options(settings: Mapping[str, Any]) -> str:
    """The options of a command that make these settings."""
    return " ".join(f"--set {path}={str(value).lower()}" for path, value in settings.items())


def _from_least_change(config: RunConfig) -> Iterator[dict[str, Any]]:
    recomputed = {"loop.checkpoint_activations": True}
    parts = [{"loop.accumulate": config.loop.accumulate * k} for k in (2, 4)]
    savings: list[dict[str, Any]] = [recomputed, *parts, *({**recomputed, **part} for part in parts)]
    yield from savings
    if config.loop.precision != "bf16":
        bf16 = {"loop.precision": "bf16"}
        yield from (bf16, *({**bf16, **saving} for saving in savings))

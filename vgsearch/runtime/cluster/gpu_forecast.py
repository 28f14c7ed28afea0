"""The part of a dry run that is about GPUs: the memory of a worker, and hours per trial on named GPUs as a range."""

from collections.abc import Iterator
from typing import Any

from vgsearch.space.sweep import Sweep
from vgsearch.terminal.words import size
from videogan.config import parse_config, with_overrides
from videogan.training.fitting import process_bytes
from videogan.training.forecast import Forecast, forecast
from videogan.training.gpus import FAST, GPU, GPUS, SLOW, Arithmetic
from videogan.training.run_config import RunConfig

OFFERED: dict[Arithmetic, str] = {
    "fp32": "",
    "tf32": "--set loop.tf32=true; its scores were not compared on a GPU",
    "bf16": "--set loop.precision=bf16; its scores were not compared on a GPU",
}


def gpu_forecast(config: RunConfig, sweep: Sweep) -> dict[Arithmetic, dict[str, Any]]:
    """By arithmetic: the GPU memory of a worker, and hours per trial, least and most, on each GPU that holds it."""
    costs = {precision: forecast(_at(config, precision), sweep.n_workers) for precision in ("fp32", "bf16")}
    found: dict[Arithmetic, dict[str, Any]] = {}
    for arithmetic in OFFERED:
        cost = costs["bf16" if arithmetic == "bf16" else "fp32"]
        needed = process_bytes(cost)
        holding = [gpu for gpu in GPUS.values() if gpu.memory_bytes >= needed]
        hours = {gpu.name: _hours(gpu, cost, arithmetic, config.loop.n_steps, sweep.n_workers) for gpu in holding}
        found[arithmetic] = {"gpu_memory_bytes": needed, "hours_per_trial": {k: v for k, v in hours.items() if v}}
    return found


def _at(config: RunConfig, precision: str) -> RunConfig:
    return parse_config(RunConfig, with_overrides(config.model_dump(mode="json"), {"loop.precision": precision}))


def _hours(
    gpu: GPU, cost: Forecast, arithmetic: Arithmetic, n_steps: int, n_workers: int
) -> tuple[float, float] | None:
    shares = cost.flops_per_step / n_workers, cost.bytes_moved_per_step / n_workers
    seconds = gpu.seconds(*shares, arithmetic)
    return None if seconds is None else (seconds[0] * n_steps / 3600, seconds[1] * n_steps / 3600)


def gpu_lines(found: dict[Arithmetic, dict[str, Any]]) -> Iterator[str]:
    """The forecast as lines of a terminal."""
    yield "  hours per trial on GPUs that hold a worker; counted costs, assumed speeds, no GPU was measured:"
    for arithmetic, costs in found.items():
        yield f"  {arithmetic + ', ' + size(costs['gpu_memory_bytes']):22}{OFFERED[arithmetic]}".rstrip()
        for name, (least, most) in costs["hours_per_trial"].items():
            yield f"    {name:20}{f'{_rounded(least)} to {_rounded(most)} h':>16}"
    (computing, moving), (slow, slow_moving) = (map(_percent, shares) for shares in (FAST, SLOW))
    yield f"  least: at {computing} of the GPU's peak arithmetic and {moving} of its bandwidth at once;"
    yield f"  most: at {slow} and {slow_moving}, one after the other. Without looks and S3."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _rounded(hours: float) -> str:
    return f"{hours:.0f}" if hours >= 10 else f"{hours:.1f}"

"""The part of a dry run about GPUs: a worker's memory; hours, and with prices money, on named GPUs as ranges."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vgsearch.space.sweep import Sweep
from vgsearch.terminal.words import size
from videogan.config import ConfigurationError, parse_config, suggestion, with_overrides
from videogan.training.fitting import as_options, process_bytes, settings_that_fit
from videogan.training.forecast import Forecast, forecast
from videogan.training.gpus import FAST, GPU, GPUS, SLOW, Arithmetic
from videogan.training.run_config import RunConfig

OFFERED: dict[Arithmetic, str] = {
    "fp32": "",
    "tf32": "--set loop.tf32=true; its scores were not compared on a GPU",
    "bf16": "--set loop.precision=bf16; its scores were not compared on a GPU",
}


def read_prices(written: Sequence[str]) -> dict[str, float]:
    """Prices of an hour of named GPUs, from GPU=AMOUNT; raises ConfigurationError for another text or GPU."""
    prices: dict[str, float] = {}
    for text in written:
        name, _, amount = text.partition("=")
        if name not in GPUS and "=" not in text:
            raise ConfigurationError(f"--price {text}: must be a GPU and what an hour of it costs, as H100=2.5.")
        if name not in GPUS:
            raise ConfigurationError(f"--price {text}: no GPU '{name}' in the forecast{suggestion(name, list(GPUS))}")
        try:
            prices[name] = float(amount)
        except ValueError:
            prices[name] = math.nan
        if not 0 < prices[name] < math.inf:
            raise ConfigurationError(f"--price {text}: must be a GPU and what an hour of it costs, as {name}=2.5.")
    return prices


def gpu_forecast(config: RunConfig, sweep: Sweep, prices: Mapping[str, float]) -> dict[Arithmetic, dict[str, Any]]:
    """By arithmetic: the GPU memory of a worker, and ranges, least and most, on each GPU that holds it.

    The ranges are hours per trial, GPU-hours of the sweep without pruning, and its cost where `prices` has the GPU.
    """
    n_times = sweep.n_trials * sweep.seeds_per_trial * sweep.n_workers  # a worker trains on a GPU of its own
    costs = {precision: forecast(_at(config, precision), sweep.n_workers) for precision in ("fp32", "bf16")}
    n_steps = config.loop.n_steps * sweep.n_generators
    found: dict[Arithmetic, dict[str, Any]] = {}
    for arithmetic in OFFERED:
        cost = costs["bf16" if arithmetic == "bf16" else "fp32"]
        needed = process_bytes(cost)
        holding = [gpu for gpu in GPUS.values() if gpu.memory_bytes >= needed]
        hours = {gpu.name: _hours(gpu, cost, arithmetic, n_steps, sweep.n_workers) for gpu in holding}
        known = {name: each for name, each in hours.items() if each}
        gpu_hours = {name: (least * n_times, most * n_times) for name, (least, most) in known.items()}
        paid = {name: prices[name] for name in gpu_hours if name in prices}
        costs_of = {name: tuple(price * each for each in gpu_hours[name]) for name, price in paid.items()}
        found[arithmetic] = {
            "gpu_memory_bytes": needed,
            "hours_per_trial": known,
            "gpu_hours": gpu_hours,
            "cost": costs_of,
        }
    return found


def settings_for_smaller_gpus(
    found: Mapping[Arithmetic, Mapping[str, Any]], config: RunConfig, n_workers: int
) -> dict[str, dict[str, Any] | None]:
    """For each GPU that holds a worker in none of `gpu_forecast`'s arithmetics: settings that change it, if any."""
    listed = {name for costs in found.values() for name in costs["hours_per_trial"]}
    return {
        gpu.name: settings_that_fit(config, gpu.memory_bytes, n_workers, has_bf16=gpu.has_bf16)
        for gpu in GPUS.values()
        if gpu.name not in listed
    }


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
    yield "  hours per trial, and GPU-hours of the sweep without pruning, on GPUs that hold a worker;"
    yield "  counted costs, assumed speeds, no GPU was measured:"
    for arithmetic, costs in found.items():
        yield f"  {arithmetic + ', ' + size(costs['gpu_memory_bytes']):22}{OFFERED[arithmetic]}".rstrip()
        for name, hours in costs["hours_per_trial"].items():
            price = f"   costs {_range(costs['cost'][name])}" if name in costs["cost"] else ""
            sweep = f"{_range(costs['gpu_hours'][name])} GPU-hours"
            yield f"    {name:20}{_range(hours) + ' h':>16}{sweep:>28}{price}"
    (computing, moving), (slow, slow_moving) = (map(_percent, shares) for shares in (FAST, SLOW))
    yield f"  least: at {computing} of the GPU's peak arithmetic and {moving} of its bandwidth at once;"
    yield f"  most: at {slow} and {slow_moving}, one after the other. Without looks and S3."


def settings_lines(found: Mapping[str, Mapping[str, Any] | None]) -> Iterator[str]:
    """`settings_for_smaller_gpus` as lines of a terminal."""
    holding = {name: settings for name, settings in found.items() if settings is not None}
    if holding:
        yield "  these hold it in no precision, but the same batch with other settings:"
    for name, settings in holding.items():
        yield f"    {name:20}{as_options(settings)}"
    if too_small := [name for name in found if name not in holding]:
        yield f"  too small for the batch with any of these settings: {', '.join(too_small)}; lower loop.batch_size, add"
        yield "  --workers-per-trial, or make the network narrower"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _range(ends: tuple[float, float]) -> str:
    least, most = (f"{end:,.0f}" if end >= 10 else f"{end:.1f}" for end in ends)
    return f"{least} to {most}"

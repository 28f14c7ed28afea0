"""Measure training steps on a GPU and print them against their forecast: `python -m tests.gpu.measure`.

A table of steps a second, memory and the share of time in which the GPU computes, for the paper's point of mvt_tsa at
the budgets smoke and paper, in fp32 with and without TF32 and in bf16; then smoke steps of several processes on one
GPU. Clips are noise. The table goes to --out, by default reports/gpu-<date>/README.md. The device must be otherwise
idle. --rehearse runs a tiny size on a CPU, to try the script.
"""

import argparse
import datetime
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from tests.builders import NoiseClips, tiny_sweep
from tests.gpu.device import DEVICE, HAS_CUDA, NO_DEVICE, training_on
from vgsearch.runtime.cluster.gpus import gpu_report
from videogan.out_of_memory import is_out_of_memory
from videogan.training.forecast import forecast
from videogan.training.run_config import RunConfig

SCALES = ("smoke", "paper")
ARMS = {
    "fp32": {"loop.precision": "fp32"},
    "fp32, products in TF32": {"loop.precision": "fp32", "loop.tf32": True},
    "bf16": {"loop.precision": "bf16"},
}
"""Settings of a run."""
N_WARM, N_TIMED, PROCESSES = 3, {"smoke": 30, "paper": 6}, (1, 2, 4)
HEAD = ("run", "steps/s", "ms a step", "GPU busy", "TFLOP/s", "tensors GB", "process GB", "forecast GB")
TINY = {"model.channels": 2, "model.gru_hidden": 8, "model.resolution": 32, "loop.batch_size": 2}


@dataclass(frozen=True)
class Measured:
    """The cost of one run's steps on this device; bytes are 0 on a CPU."""

    seconds: float
    """Median of a step."""
    busy: float
    """The share of a step's time in which kernels run."""
    tensor_bytes: int
    """The most that tensors took."""
    reserved_bytes: int
    context_bytes: int
    """What the driver and the kernels take besides."""


def run_of(scale: str, arm: str, rehearse: bool = False) -> RunConfig:
    """The paper's point of mvt_tsa at a budget."""
    overrides = ARMS[arm] | (TINY if rehearse else {})
    sweep = tiny_sweep("mvt_tsa", scale, overrides=overrides)
    return sweep.run_config(sweep.paper_points[0], 0)


def context_bytes() -> int:
    """Bytes of the device that are taken and are not torch's; those of other processes count, so there must be none."""
    if not HAS_CUDA:
        return 0
    free, total = torch.cuda.mem_get_info()
    return total - free - torch.cuda.memory_reserved()


def measured(config: RunConfig, n_steps: int) -> Measured:
    """The cost of `n_steps` steps of a run, after some that are not timed."""
    free_memory()
    training, clips = training_on(DEVICE, config), Repeated(config)
    seconds = []
    for step in range(1, N_WARM + n_steps + 1):
        began = time.perf_counter()
        training.step_(step, clips)
        synchronise()
        seconds.append(time.perf_counter() - began)
    peaks = (torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()) if HAS_CUDA else (0, 0)
    context = context_bytes()
    with profile(activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * HAS_CUDA) as seen:
        began = time.perf_counter()
        training.step_(N_WARM + n_steps + 1, clips)
        synchronise()
        wall = time.perf_counter() - began
    kernels = sum(getattr(row, "self_device_time_total", 0) for row in seen.key_averages()) / 1e6
    return Measured(statistics.median(seconds[N_WARM:]), kernels / wall, *peaks, context)


class Repeated(NoiseClips):
    """Two batches, made once and pinned: noise of the paper's size takes longer to make than a step."""

    def __init__(self, config: RunConfig) -> None:
        model = config.model
        super().__init__(config.loop.batch_size, model.n_classes, model.n_frames, model.resolution)
        batches = [NoiseClips.batch(self, index) for index in range(2)]
        self._batches = [tuple(part.pin_memory() for part in batch) for batch in batches] if HAS_CUDA else batches

    def batch(self, index: int):
        return self._batches[index % 2]


def free_memory() -> None:
    gc.collect()
    if HAS_CUDA:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def synchronise() -> None:
    if HAS_CUDA:
        torch.cuda.synchronize()


def rows(rehearse: bool) -> Iterator[tuple[str, ...]]:
    """One row for each scale and arm; a run that does not fit says so."""
    for scale in SCALES:
        for arm in ARMS:
            config, what = run_of(scale, arm, rehearse), f"{scale}, {arm}"
            cost = forecast(config)
            needed = f"{(cost.memory_bytes + context_bytes()) / 1e9:.2f}"
            try:
                found = measured(config, 1 if rehearse else N_TIMED[scale])
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                yield what, *["out of memory", *[""] * 5], needed
                continue
            process = found.reserved_bytes + found.context_bytes
            yield (what, f"{1 / found.seconds:.2f}", f"{1e3 * found.seconds:.1f}", f"{100 * found.busy:.0f} %",
                   f"{cost.flops_per_step / found.seconds / 1e12:.1f}", f"{found.tensor_bytes / 1e9:.2f}",
                   f"{process / 1e9:.2f}", needed)  # fmt: skip


def shared(rehearse: bool) -> Iterator[tuple[str, ...]]:
    """Smoke steps a second of several processes at once."""
    command = [sys.executable, "-m", "tests.gpu.measure", "--one-process", *(["--rehearse"] if rehearse else [])]
    for n in PROCESSES[: 1 if rehearse else None]:
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(n)]
        rates = [1 / float(process.communicate()[0].split()[-1]) for process in started]
        yield f"{n} at a time", f"{sum(rates):.2f}", f"{sum(rates) / n:.2f}"


def in_markdown(head: tuple[str, ...], body: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in body:
        yield f"| {' | '.join(row)} |"


def report(rehearse: bool) -> Iterator[str]:
    """The lines of the report, as they are measured."""
    found = gpu_report()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    yield f"# Training steps on {str(found) or 'a CPU (a rehearsal)'}"
    yield f"\n`python -m tests.gpu.measure`, commit {commit or 'unknown'}, torch {found.torch} {found.platform}".rstrip()
    yield (
        "\nThe paper's point of mvt_tsa on noise. Process: what torch reserved, and the CUDA context; the forecast "
        "counts tensors, and has the same context. GPU busy: time in kernels, of one step under the profiler.\n"
    )
    yield from in_markdown(HEAD, rows(rehearse))
    yield "\nSmoke steps in bf16, several processes on one GPU:\n"
    yield from in_markdown(("processes", "steps/s in all", "steps/s each"), shared(rehearse))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(f"reports/gpu-{datetime.date.today()}"))
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--one-process", action="store_true", help="print the seconds of one smoke step")
    given = parser.parse_args()
    if not (HAS_CUDA or given.rehearse):
        print(f"{NO_DEVICE}; nothing was measured")
        return
    if given.one_process:
        found = measured(run_of("smoke", "bf16", given.rehearse), 1 if given.rehearse else N_TIMED["smoke"])
        print(found.seconds)
        return
    lines = []
    for line in report(given.rehearse):
        print(line, flush=True)
        lines.append(line)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Measure training steps on a GPU and print them against their forecast: `python -m tests.gpu.measure`.

A table of steps a second, memory and the share of time in which the GPU computes, for the paper's point of mvt_tsa at
the budgets smoke and paper, in fp32 with and without TF32 and in bf16; then smoke steps of several processes on one
GPU. Clips are noise. Each line goes to --out when it is known, by default reports/gpu-<date>/README.md. The device must
be otherwise idle. --rehearse runs a tiny size, to try the script on a CPU, and writes no file.
"""

import argparse
import datetime
import gc
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from tests.builders import NoiseClips, tiny_sweep
from tests.gpu.device import DEVICE, HAS_CUDA, NO_DEVICE, training_on
from vgsearch.cluster.check.machines import selected_gpu
from vgsearch.runtime.cluster.gpus import gpu_report
from videogan.out_of_memory import is_out_of_memory
from videogan.training.forecast import Forecast, forecast
from videogan.training.gpus import Arithmetic
from videogan.training.loop import Training
from videogan.training.run_config import RunConfig

SCALES = ("smoke", "paper")
ARMS: dict[Arithmetic, dict[str, Any]] = {
    "fp32": {"loop.precision": "fp32"},
    "tf32": {"loop.precision": "fp32", "loop.tf32": True},
    "bf16": {"loop.precision": "bf16"},
}
"""Settings of a run by its arithmetic."""
N_WARM, N_TIMED, PROCESSES, SECONDS_SHARED = 3, {"smoke": 50, "paper": 6}, (1, 2, 4), 10.0
READY = "warm"
"""Printed by a process that shares a GPU when it waits for the others."""
HEAD = (
    "run", "steps/s", "forecast steps/s", "ms a step", "GPU busy", "TFLOP/s", "tensors GB", "process GB", "forecast GB"
)  # fmt: skip
TINY = {"model.channels": 2, "model.gru_hidden": 8, "model.resolution": 32, "loop.batch_size": 2}


@dataclass(frozen=True)
class Measured:
    """The cost of one run's steps on this device; bytes and `kernel_seconds` are 0 on a CPU."""

    seconds: float
    """Mean of steps that are queued one after the other, as between two log lines of a training."""
    kernel_seconds: float
    """Of one step, time in kernels and copies."""
    tensor_bytes: int
    """The most that tensors took."""
    reserved_bytes: int
    context_bytes: int
    """What the driver and the kernels take besides."""


def run_of(scale: str, arm: Arithmetic, rehearse: bool = False) -> RunConfig:
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
    training, clips = warm_training(config)
    seconds = seconds_of(training, clips, N_WARM + 1, n_steps)
    peaks = (torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()) if HAS_CUDA else (0, 0)
    context = context_bytes()
    with profile(activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * HAS_CUDA) as seen:
        seconds_of(training, clips, N_WARM + n_steps + 1, 1)
    # The rows of operations count the kernels that they start a second time.
    kernels = [row for row in seen.key_averages() if row.device_type == DeviceType.CUDA and not row.is_user_annotation]
    return Measured(seconds, sum(row.self_device_time_total for row in kernels) / 1e6, *peaks, context)


def warm_training(config: RunConfig) -> tuple[Training, "Repeated"]:
    """A training after its first steps, in which libraries initialise and choose kernels, and its clips."""
    training, clips = training_on(DEVICE, config), Repeated(config)
    seconds_of(training, clips, 1, N_WARM)
    return training, clips


def seconds_of(training: Training, clips: NoiseClips, first: int, n_steps: int) -> float:
    """Mean seconds of `n_steps` steps from number `first` on; the device is waited for once, at the end."""
    synchronise()
    began = time.perf_counter()
    for step in range(first, first + n_steps):
        training.step_(step, clips)
    synchronise()
    return (time.perf_counter() - began) / n_steps


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
            config = run_of(scale, arm, rehearse)
            cost = forecast(config)
            try:
                found = measured(config, 1 if rehearse else N_TIMED[scale])
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                needed = f"{(cost.memory_bytes + context_bytes()) / 1e9:.2f}"
                yield f"{scale}, {arm}", "out of memory", *[""] * 6, needed
                continue
            numbers = (
                found.tensor_bytes,
                found.reserved_bytes + found.context_bytes,
                cost.memory_bytes + found.context_bytes,
            )
            yield (f"{scale}, {arm}", f"{1 / found.seconds:.2f}", forecast_speed(cost, arm), f"{1e3 * found.seconds:.1f}",
                   f"{100 * found.kernel_seconds / found.seconds:.0f} %",
                   f"{cost.flops_per_step / found.seconds / 1e12:.1f}", *(f"{n / 1e9:.2f}" for n in numbers))  # fmt: skip


def forecast_speed(cost: Forecast, arm: Arithmetic) -> str:
    """The steps a second that a dry run forecasts for this GPU, least and most; empty for one that it does not know."""
    name = torch.cuda.get_device_name() if HAS_CUDA else ""
    gpu = selected_gpu({"nvidia.com/gpu.product": name.replace(" ", "-")})
    seconds = gpu.seconds(cost.flops_per_step, cost.bytes_moved_per_step, arm) if gpu else None
    return f"{1 / seconds[1]:.2f} to {1 / seconds[0]:.2f}" if seconds else ""


def shared(rehearse: bool) -> Iterator[tuple[str, ...]]:
    """Smoke steps a second of several processes at once, over the same seconds."""
    command = [sys.executable, "-m", "tests.gpu.measure", "--one-process", *(["--rehearse"] if rehearse else [])]
    for n in PROCESSES[:2] if rehearse else PROCESSES:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        started = [subprocess.Popen(command, **pipes) for _ in range(n)]
        for process in started:
            assert process.stdout.readline().strip() == READY, "a process ended before it was warm"
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        rates = [float(process.communicate()[0]) for process in started]
        yield f"{n} at a time", f"{sum(rates):.2f}", f"{sum(rates) / n:.2f}"


def one_process(rehearse: bool) -> None:
    """Print when it is ready, wait for a line, and print the steps a second of some seconds."""
    torch.set_num_threads(1)  # as in a trial
    training, clips = warm_training(run_of("smoke", "bf16", rehearse))
    print(READY, flush=True)
    sys.stdin.readline()
    step, began = N_WARM, time.perf_counter()
    while (seconds := time.perf_counter() - began) < (0.1 if rehearse else SECONDS_SHARED):
        seconds_of(training, clips, step + 1, n := 1 if rehearse else 10)
        step += n
    print((step - N_WARM) / seconds)


def in_markdown(head: tuple[str, ...], body: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in body:
        yield f"| {' | '.join(row)} |"


def report(rehearse: bool) -> Iterator[str]:
    """The lines of the report, as they are measured."""
    found = gpu_report()
    git = shutil.which("git") or "true"  # a rented machine may have a copy of the files only
    commit = subprocess.run([git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    yield f"# Training steps on {str(found) or 'a CPU (a rehearsal)'}"
    yield f"\n`python -m tests.gpu.measure`, commit {commit or 'unknown'}, torch {found.torch} {found.platform}".rstrip()
    yield (
        "\nThe paper's point of mvt_tsa on noise. Process: what torch reserved, and the CUDA context; the forecast "
        "counts tensors, and has the same context. GPU busy: a step's time in kernels, by the profiler, over its time "
        "without it. Forecast steps/s: those of a dry run, by assumed shares of the GPU's peaks.\n"
    )
    yield from in_markdown(HEAD, rows(rehearse))
    yield "\nSmoke steps in bf16, several processes on one GPU:\n"
    yield from in_markdown(("processes", "steps/s in all", "steps/s each"), shared(rehearse))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(f"reports/gpu-{datetime.date.today()}"))
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument(
        "--one-process", action="store_true", help="print the steps/s of smoke runs, once told to begin"
    )
    given = parser.parse_args()
    if not (HAS_CUDA or given.rehearse):
        print(f"{NO_DEVICE}; nothing was measured")
        return
    if given.one_process:
        one_process(given.rehearse)
        return
    if given.rehearse:
        print("A rehearsal: no number of it is kept.")
    else:
        given.out.mkdir(parents=True, exist_ok=True)
    lines = ""
    for line in report(given.rehearse):
        print(line, flush=True)
        lines += f"{line}\n"
        if not given.rehearse:
            (given.out / "README.md").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main()

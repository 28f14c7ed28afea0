"""Measure training of the 3-D ResNet-18: `python -m tests.benchmarks.classifiers` prints ratios within one run.

Compares a training step (forward, backward, SGD) in plain fp32 with contiguous clips against bf16 autocast with
channels-last weights and clips, as `fit` trains. The two arms train copies of one network on one batch and take turns,
so a busy machine slows both equally. Seconds are the process's CPU time on one thread; medians over rounds are printed.
"""

import argparse
import copy
import os
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when it is imported

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videogan.classifiers import CLASSIFIERS
from videogan.data.clips import to_video
from videogan.nets.layout import lay_channels_last_

N_CLASSES, N_FRAMES = 10, 16
CASES = {
    # size in pixels, width, clips in a batch, whether the ratio has a target
    "the paper's width": (96, 64, 8, True),
    "the laptop protocol's": (32, 16, 16, False),
}
TARGET = 4.0


def step(classifier: nn.Module, frames: Tensor, labels: Tensor, fast: bool) -> Callable[[], None]:
    """One step of training on `frames` uint8 (B, T, H, W, C); the plain step gets a contiguous video."""
    optimiser = torch.optim.SGD(classifier.parameters(), lr=0.001, momentum=0.9, weight_decay=5e-4, nesterov=True)
    video = to_video(frames) if fast else to_video(frames).contiguous()

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16) if fast else nullcontext():
            logits = classifier(video)
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(logits.float(), labels).backward()
        optimiser.step()

    return run


def measure(name: str, size: int, width: int, batch_size: int, n_rounds: int) -> tuple[float, float]:
    """CPU seconds per clip of the plain and of the fast step: medians over rounds."""
    torch.manual_seed(0)
    plain = CLASSIFIERS[name](N_CLASSES, width=width).train()
    fast = lay_channels_last_(copy.deepcopy(plain))
    frames = torch.randint(256, (batch_size, N_FRAMES, size, size, 3), dtype=torch.uint8)
    labels = torch.randint(N_CLASSES, (batch_size,))
    steps = (step(plain, frames, labels, fast=False), step(fast, frames, labels, fast=True))
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(n_rounds + 1):  # the first warms up
        for run, column in zip(steps, seconds, strict=True):
            began = time.process_time()
            run()
            if turn:
                column.append((time.process_time() - began) / batch_size)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classifier", choices=list(CLASSIFIERS), default="r3d18", help="c3d takes 112 px alone")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, help="pixels, instead of 96 and 32")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{chosen.classifier}, training, one thread, {torch.backends.cpu.get_cpu_capability()}, {chosen.rounds} rounds"
    )
    print("| case | clips | width | batch | fp32, ms a clip | bf16 + channels last, ms a clip | ratio | target |")
    print("|---" * 8 + "|")
    for case, (size, width, batch_size, has_target) in CASES.items():
        size = chosen.size or size
        plain, fast = measure(chosen.classifier, size, width, batch_size, chosen.rounds)
        target = f">= {TARGET:g}" if has_target and chosen.classifier == "r3d18" else ""
        print(
            f"| {case} | {N_FRAMES}x{size}x{size} | {width} | {batch_size} | {plain * 1e3:.0f} | {fast * 1e3:.1f} | "
            f"**{plain / fast:.2f}** | {target} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

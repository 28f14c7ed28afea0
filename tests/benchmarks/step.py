"""Measure one MVT-GAN training step: `python -m tests.benchmarks.step` prints ratios within one run.

Compares the training loop's own step, with n_D = 1, B = 4, T = 16, N = 4, under each setting of precision and layout,
with the plain one: fp32, contiguous, new fakes for the generator. "reused fakes" is another algorithm (one z per step)
and is labelled as such; the motion constraint adds a loss term. All arms train on the same clips and take turns, so a
busy machine slows all equally. Seconds are the process's CPU time on one thread; medians over rounds are printed.
"""

import argparse
import os
import statistics
import time
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when it is imported

import torch
from torch import Tensor

from tests.builders import NoiseClips
from videogan.config import parse_config
from videogan.shard import Shard
from videogan.training.loop import Training
from videogan.training.run_config import RunConfig

BATCH_SIZE, N_CLASSES, N_FRAMES, N_BATCHES = 4, 4, 16, 4
SIZES = {32: 8, 64: 16}  # resolution -> channels a
PLAIN = {"precision": "fp32", "channels_last": False}
FAST = {"precision": "bf16", "channels_last": True}
ARMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain fp32, contiguous": (PLAIN, {}),
    "channels last": ({**PLAIN, "channels_last": True}, {}),
    "bf16": ({**PLAIN, "precision": "bf16"}, {}),
    "bf16 + channels last": (FAST, {}),
    "all, and reused fakes (another algorithm)": ({**FAST, "reuse_fakes": True}, {}),
    "all, and motion constraint, Lucas-Kanade": ({**FAST, "reuse_fakes": True}, {"variant": "mvt_mc"}),
}
TARGETS = {
    (32, "bf16 + channels last"): ">= 2",
    (64, "bf16 + channels last"): ">= 3.5",
    (64, "all, and reused fakes (another algorithm)"): ">= 4",
}


class FixedClips(NoiseClips):
    """A few batches of noise, repeated, so that real flows are cached as on a small data set."""

    def __init__(self, resolution: int, channels_last: bool) -> None:
        super().__init__(BATCH_SIZE, N_CLASSES, N_FRAMES, resolution)
        self._channels_last = channels_last

    def batch(self, index: int) -> tuple[Tensor, Tensor]:
        frames, labels = super().batch(index % N_BATCHES)
        if not self._channels_last:  # so that the video of them is contiguous
            frames = frames.movedim(-1, 2).contiguous().movedim(2, -1)
        return frames, labels


def training(resolution: int, loop: dict[str, Any], model: dict[str, Any]) -> Training:
    channels = SIZES[resolution]
    network = {"resolution": resolution, "channels": channels, "gru_hidden": 32 * channels, "n_frames_image": 4}
    values = {
        "model": {"family": "mvt", "n_classes": N_CLASSES, **network, **model},
        "loop": {"batch_size": BATCH_SIZE, "n_d": 1, **loop},
        "evaluation": {"protocol": "s3_r3d18_smoke_v2"},
    }
    return Training(parse_config(RunConfig, values), lambda network: network, Shard(), torch.device("cpu"))


def measure(resolution: int, n_rounds: int) -> dict[str, float]:
    """Median CPU seconds of a step of each arm."""
    arms = {
        name: (training(resolution, loop, model), FixedClips(resolution, loop["channels_last"]))
        for name, (loop, model) in ARMS.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for turn in range(n_rounds + N_BATCHES):
        for name, (player, clips) in arms.items():
            began = time.process_time()
            player.step_(turn + 1, clips)
            if turn >= N_BATCHES:  # the first warm up
                seconds[name].append(time.process_time() - began)
    return {name: statistics.median(column) for name, column in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    amx = torch.cpu._is_amx_tile_supported()
    print(f"MVT-GAN-TSA, B = {BATCH_SIZE}, one thread, AMX {'yes' if amx else 'no'}, {chosen.rounds} rounds")
    print("| step | resolution | a | ms of CPU time | plain / this | target |")
    print("|---" * 6 + "|")
    for resolution, channels in SIZES.items():
        taken = measure(resolution, chosen.rounds)
        plain = next(iter(taken.values()))
        for name, seconds in taken.items():
            target = TARGETS.get((resolution, name), "")
            ratio = f"{plain / seconds:.2f}"
            print(f"| {name} | {resolution} | {channels} | {seconds * 1e3:.0f} | {ratio} | {target} |", flush=True)
        added = (
            taken["all, and motion constraint, Lucas-Kanade"] / taken["all, and reused fakes (another algorithm)"] - 1
        )
        print(
            f"| motion constraint / optimised step | {resolution} | {channels} | | {added:.2f} | <= 0.6 |", flush=True
        )


if __name__ == "__main__":
    main()

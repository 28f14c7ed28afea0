"""Measure how long training waits for cached clips: `python -m tests.benchmarks.feed` prints shares and ratios.

Trains MVT-TSA at 64 px, B = 8, bf16 and channels last, where a step is shortest, on clips from a warm cache, with and
without prefetching the next batch. Both arms run in one process on one core and take turns at each step, so a busy
machine slows both equally. CPU time includes the prefetching thread, so it shows the cost of prefetching.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when it is imported

import torch

from videogan.config import parse_config
from videogan.data.cache import planned_shards, write_index, write_shard
from videogan.data.clips import ClipStore, TrainingClips, open_cache
from videogan.data.decode import decode
from videogan.data.prefetch import PrefetchedClips
from videogan.data.preprocessing import preprocessing_named
from videogan.data.synthetic import make_moving_shapes
from videogan.training.loop import ClipSource, Progress, train
from videogan.training.run_config import RunConfig

BATCH_SIZE, SIZE, WINDOW = 8, 64, 16


@dataclass
class Arm:
    """One training and the seconds of its steps: wall time, waiting time and CPU time."""

    steps: Iterator[Progress]
    walls: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)

    def step(self) -> None:
        began = time.process_time()
        progress = next(self.steps)
        self.cpus.append(time.process_time() - began)
        self.walls.append(progress.seconds)
        self.waits.append(progress.seconds_waiting)

    def waiting_share(self, warm_up: int) -> float:
        """The share of waiting in the time of all steps after the first `warm_up`."""
        return sum(self.waits[warm_up:]) / sum(self.walls[warm_up:])


def cached_moving_shapes(folder: Path) -> ClipStore:
    """512 clips of 32 frames, 64 px."""
    manifest, plain = (
        make_moving_shapes(folder / "shapes", n_clips_each=8, n_groups=16),
        preprocessing_named(f"plain_{SIZE}"),
    )
    paths = {row["sha"]: manifest.location(row["path"]) for row in manifest.usable.to_pylist()}
    shards = planned_shards(list(paths))
    for shard in shards:
        write_shard(folder / "cache", shard, ((sha, decode(paths[sha], plain)) for sha in shard.shas))
    write_index(folder / "cache", plain, shards)
    return open_cache(folder / "cache", manifest)


def run_config(channels: int, n_steps: int) -> RunConfig:
    return parse_config(
        RunConfig,
        {
            "model": {"family": "mvt", "variant": "mvt_tsa", "n_classes": 4, "resolution": SIZE, "channels": channels},
            "loop": {"n_steps": n_steps, "batch_size": BATCH_SIZE, "precision": "bf16"},
            "evaluation": {"protocol": "s3_r3d18_smoke_v2"},
        },
    )


def measure(store: ClipStore, channels: int, n_steps: int, warm_up: int) -> str:
    """A row of the table."""
    config = run_config(channels, warm_up + n_steps)
    with ExitStack() as stack:
        plain: ClipSource = TrainingClips(store, BATCH_SIZE, WINDOW, config.seed)
        ahead: ClipSource = stack.enter_context(PrefetchedClips(TrainingClips(store, BATCH_SIZE, WINDOW, config.seed)))
        arms = [Arm(train(config, clips)) for clips in (plain, ahead)]
        for step in range(warm_up + n_steps):
            for arm in arms if step % 2 else reversed(arms):
                arm.step()
    without, prefetched = arms
    ratios = [
        statistics.median(mine / theirs for mine, theirs in zip(one[warm_up:], other[warm_up:], strict=True))
        for one, other in ((prefetched.walls, without.walls), (prefetched.cpus, without.cpus))
    ]
    step_ms, wait_ms = (statistics.median(column[warm_up:]) * 1e3 for column in (without.walls, without.waits))
    return (
        f"| {channels} | {step_ms:.0f} | {wait_ms:.2f} | {without.waiting_share(warm_up):.3%} | "
        f"{prefetched.waiting_share(warm_up):.3%} | {ratios[0]:.3f} | {ratios[1]:.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, nargs="+", default=[8, 16], help="widths a")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--warm-up", type=int, default=3, help="first steps, which are not counted")
    parser.add_argument("--cores", type=int, default=1, help="cores the process may use")
    chosen = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-chosen.cores :])
    torch.set_num_threads(1)
    print(
        f"MVT-TSA, {SIZE} px, B = {BATCH_SIZE}, bf16, channels last, {chosen.cores} core(s), {chosen.steps} steps each"
    )
    print("| a | step, ms | fetch, ms | waiting | waiting, ahead | step, ahead / plain | CPU, ahead / plain |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        store = cached_moving_shapes(Path(folder))
        for channels in chosen.channels:
            print(measure(store, channels, chosen.steps, chosen.warm_up), flush=True)


if __name__ == "__main__":
    main()

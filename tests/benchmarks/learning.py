"""What a point learns at a budget, without Ray: `python -m tests.benchmarks.learning SPACE --set PATH=VALUE ...`.

Trains the paper's point of a space, changed by --set, on the embedded moving shapes or --data, and prints SeR and ReS
by one classifier of the budget's S3 at each of --steps, with the seconds of one core; SeR is the mean over --fits
classifiers that are trained on samples. It helps to choose budgets and ranges; a sweep measures S3 with three.
"""

import argparse
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when it is imported

import torch
from rich.console import Console

from tests.benchmarks.ranges import sweep_of
from vgsearch.data_check.moving_shapes import moving_shapes
from vgsearch.runtime.cluster.cluster import connect
from vgsearch.runtime.feed.decode import build_cache
from vgsearch.runtime.judging.judge import sampling_copy_of, synthetic_set
from vgsearch.space.space import parse_override
from videogan.classifiers.contract import VideoClassifier
from videogan.classifiers.fit import fit, predict_windows
from videogan.data.clip_set import ClipSet, Grouped, Spooled
from videogan.data.clips import ClipStore, TrainingClips, open_cache
from videogan.data.manifest import Manifest, read_manifest
from videogan.training.loop import Training, train
from videogan.training.run_config import RunConfig


@dataclass(frozen=True)
class Scorer:
    """One real-trained classifier of the budget's S3, and the real clips."""

    config: RunConfig
    clips: ClipStore
    network: VideoClassifier

    @staticmethod
    def fitted(config: RunConfig, clips: ClipStore) -> "Scorer":
        protocol = config.evaluation.s3_protocol.classifier
        network = protocol.build(config.model.n_classes, 0)
        fit(network, clips.real_clips("train", config.model.n_frames).random(0), protocol.recipe, 0)
        return Scorer(config, clips, network)

    def scores(self, training: Training, n_fits: int) -> tuple[list[float], float]:
        """(SeR of each of `n_fits` classifiers, ReS) of the average generator."""
        s3, n_frames = self.config.evaluation.s3_protocol, self.config.model.n_frames
        protocol, real = s3.classifier, self.clips.real_clips("train", n_frames)
        select = self.clips.real_clips("select", n_frames)
        make = synthetic_set(sampling_copy_of(training.sampling_generator, self.config), self.config)
        labels = s3.test_labels(select)
        said = predict_windows(self.network, Spooled(make("test", labels, 0)), protocol.recipe)[0]
        sers = [self._ser(make("train", real.labels, k), k) for k in range(n_fits)]
        return sers, (said == labels).float().mean().item()

    def _ser(self, synthetic: ClipSet, seed: int) -> float:
        s3, n_frames = self.config.evaluation.s3_protocol, self.config.model.n_frames
        protocol, select = s3.classifier, self.clips.real_clips("select", n_frames)
        fresh = protocol.build(self.config.model.n_classes, seed)
        groups = self.clips.real_clips("train", n_frames).groups
        fit(fresh, Spooled(Grouped(synthetic, groups)), protocol.recipe, seed)
        shown = select.spaced(protocol.test_windows)
        recognised = predict_windows(fresh, shown, protocol.recipe, protocol.test_windows) == select.labels
        return recognised.float().mean().item()


def run_config(space: str, budget: str, seed: int, steps: list[int], changes: dict[str, object]) -> RunConfig:
    """The paper's point with `changes`, trained to the last of `steps`."""
    sweep = sweep_of(space, budget)
    point = sweep.paper_points[0]
    of_point = {path: value for path, value in changes.items() if path in point}
    others = {path: value for path, value in changes.items() if path not in point}
    sweep = sweep.model_copy(update={"seed": seed, "overrides": {"loop.n_steps": max(steps), **others}})
    return sweep.run_config({**point, **of_point}, 0)


def opened(config: RunConfig, data: Path | None) -> ClipStore:
    manifest: Manifest = moving_shapes(Console()) if data is None else read_manifest(data)
    with connect():
        cache = build_cache(manifest, config.preprocessing, config.data)
    return open_cache(cache, manifest.folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("space")
    parser.add_argument("--budget", default="smoke")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, nargs="+", default=[400])
    parser.add_argument("--fits", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    changes = dict(parse_override(text) for text in chosen.set)
    config = run_config(chosen.space, chosen.budget, chosen.seed, chosen.steps, changes)
    clips = opened(config, chosen.data)
    scorer = Scorer.fitted(config, clips)
    began, scoring = time.process_time(), 0.0
    source = TrainingClips(clips, config.loop.batch_size, config.model.n_frames, config.seed)
    for progress in train(config, source):
        if progress.step in chosen.steps:
            seconds = time.process_time() - began - scoring
            sers, res = scorer.scores(progress.training, chosen.fits)
            scoring = time.process_time() - began - seconds
            ser = statistics.fmean(sers)
            print(f"{chosen.space} {' '.join(chosen.set)} seed {chosen.seed} step {progress.step}: SeR {ser:.2f}  "
                  f"ReS {res:.2f}  {seconds:.0f} s", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()

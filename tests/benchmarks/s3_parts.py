"""Measure the parts of a full S3: real-trained classifiers, training on samples, predictions, with their sampling.

`python -m tests.benchmarks.s3_parts DATA --budget laptop` uses an imported data set and an untrained generator of
mvt_tsa's paper point at that budget: the cost does not depend on the generator's weights. Everything runs in this
process on one thread, and CPU seconds are printed. A sweep trains the real-trained classifiers once for all trials.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch

from tests.builders import tiny_sweep
from vgsearch.runtime.cluster.cluster import connect
from vgsearch.runtime.feed.decode import build_cache
from vgsearch.runtime.judging.judge import sampling_copy_of, synthetic_set
from videogan.data.clip_set import RealClips
from videogan.data.clips import DataConfig, open_cache
from videogan.data.manifest import SPLITS, Manifest, read_manifest
from videogan.protocols import s3 as protocol_module
from videogan.protocols.classifier import DataFacts, fit_on_real
from videogan.protocols.s3 import RealSide
from videogan.training.loop import untrained
from videogan.training.run_config import RunConfig


class Clock:
    """Adds up the CPU seconds of the parts it wraps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, part: str, function: Callable) -> Callable:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds[part] += time.process_time() - began

        return wrapped


def real_clips(manifest: Manifest, config: RunConfig) -> dict[str, RealClips]:
    """The clips of each split, from the cache that this makes if it is missing."""
    with connect():
        store = open_cache(build_cache(manifest, config.preprocessing, DataConfig()), manifest)
    n_frames, size = config.model.n_frames, config.model.resolution
    used = [split for split in SPLITS if len(manifest.split(split))]
    return {split: RealClips(store.select(split, n_frames), n_frames, size, store.read) for split in used}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--budget", default="laptop")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    manifest = read_manifest(chosen.data)
    facts = {"data": chosen.data, "manifest_digest": manifest.digest, "n_classes": len(manifest.classes)}
    sweep = tiny_sweep(budget=chosen.budget, n_trials=1, **facts)
    config = sweep.run_config(sweep.paper_points[0], 0)
    protocol, clock = config.evaluation.s3_protocol, Clock()
    clips, split = real_clips(manifest, config), manifest.search_split
    train, scored = clips["train"], clips[split]
    fitted = clock.timed("real-trained classifiers (once a sweep)", fit_on_real)
    classifiers = [fitted(protocol.classifier, train, {split: scored}, seed) for seed in protocol.seeds]
    real = RealSide(classifiers, train, scored, split, train)
    sampler = clock.timed("standing statistics", sampling_copy_of)(untrained(config).generator, config)
    synthetic = synthetic_set(sampler, config)
    for part, name in (("sampling, training on samples", "fit"), ("sampling, predictions", "predict_windows")):
        setattr(protocol_module, name, clock.timed(part, getattr(protocol_module, name)))
    n_clips = tuple((name, len(part)) for name, part in clips.items())
    facts = DataFacts(manifest.digest, config.preprocessing, train.n_classes, n_clips)
    result = protocol_module.s3_evaluation(protocol, protocol.digest(facts, split), real, synthetic)
    n_seeds = len(classifiers)
    print(f"{protocol.name} {result.digest[:6]}: {len(train)} train and {len(scored)} {split} clips, {n_seeds} seeds")
    whole = sum(clock.seconds.values())
    for part, seconds in clock.seconds.items():
        print(f"| {part} | {seconds:.1f} s | {100 * seconds / whole:.0f} % |")
    print(f"| whole | {whole:.1f} s | |")


if __name__ == "__main__":
    main()

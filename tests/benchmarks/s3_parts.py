"""Measure the parts of a full S3: real-trained classifiers, sampling, training on samples, predictions.

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
from vgsearch.runtime.judging.judge import sampling_copy_of, synthetic_set
from videogan.classifiers.fit import LabelledClips
from videogan.data.decode import decode
from videogan.data.manifest import Manifest, read_manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.data.windows import select_clips, window
from videogan.protocols import s3 as protocol_module
from videogan.protocols.classifier import DataFacts, fit_on_real
from videogan.training.loop import untrained


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


def centre_clips(manifest: Manifest, preprocessing: str, split: str, n_frames: int) -> LabelledClips:
    named = preprocessing_named(preprocessing)
    selection = select_clips(manifest, split, named, n_frames, "skip")
    starts = selection.centre_starts(n_frames)
    clips = [
        torch.from_numpy(window(decode(manifest.location(path), named), start, n_frames).copy())
        for path, start in zip(selection.paths, starts, strict=True)
    ]
    return LabelledClips(torch.stack(clips), torch.from_numpy(selection.labels), selection.n_classes, selection.groups)


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
    decoded = clock.timed("decode both splits", centre_clips)
    train, test = (decoded(manifest, config.preprocessing, split, config.model.n_frames) for split in ("train", "test"))
    fitted = clock.timed("real-trained classifiers (once a sweep)", fit_on_real)
    real = [fitted(protocol.classifier, train, test, seed) for seed in protocol.seeds]
    sampler = clock.timed("standing statistics", sampling_copy_of)(untrained(config).generator, config)
    drawn = clock.timed("sampling", synthetic_set(sampler, config))
    for part, name in (("training on samples", "fit"), ("predictions", "predict")):
        setattr(protocol_module, name, clock.timed(part, getattr(protocol_module, name)))
    facts = DataFacts(manifest.digest, config.preprocessing, train.n_classes, len(train), len(test))
    result = protocol_module.s3_evaluation(protocol, protocol.digest(facts), real, train, test, drawn)
    print(f"{protocol.name} {result.digest[:6]}: {len(train)} train and {len(test)} test clips, {len(real)} seeds")
    whole = sum(clock.seconds.values())
    for part, seconds in clock.seconds.items():
        print(f"| {part} | {seconds:.1f} s | {100 * seconds / whole:.0f} % |")
    print(f"| whole | {whole:.1f} s | |")


if __name__ == "__main__":
    main()

"""Fit a protocol's classifier on the training clips of a data set by several recipes; print what it recognises.

`python -m tests.benchmarks.recipe DATA --protocol s3_r3d18_laptop_v2 --seeds 0 1 2 --set '{"lr": 0.002}'` prints, for
each seed, the last training loss, the share of right predictions on four windows of each test clip, and CPU seconds on
one thread. Without --set it is the protocol's own recipe; each --set is another one. The data set needs a folder made
by `vgsearch data import` or `data make`.
"""

import argparse
import json
import os
import time

os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when it is imported

import torch

from vgsearch.runtime.cluster.cluster import connect
from vgsearch.runtime.feed.decode import build_cache
from videogan.classifiers.fit import Recipe, fit, predict_windows
from videogan.data.clip_set import RealClips
from videogan.data.clips import DataConfig, open_cache
from videogan.data.manifest import read_manifest
from videogan.protocols import PROTOCOLS
from videogan.protocols.classifier import ClassifierProtocol

N_FRAMES = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--protocol", default="s3_r3d18_laptop_v2")
    parser.add_argument("--preprocessing", default="plain_32")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", action="append", default=[], help="a JSON object of the recipe's settings")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    manifest, protocol = read_manifest(chosen.data), PROTOCOLS[chosen.protocol].classifier
    with connect():
        store = open_cache(build_cache(manifest, chosen.preprocessing, DataConfig()), manifest)
    train, test = (store.real_clips(split, N_FRAMES) for split in ("train", "test"))
    print(f"{chosen.protocol}: {len(train)} train and {len(test)} test clips of {chosen.data}")
    for written in chosen.set or ["{}"]:
        recipe = Recipe(**protocol.recipe.model_dump() | json.loads(written))
        for seed in chosen.seeds:
            own = protocol.model_copy(update={"recipe": recipe})
            loss, right, seconds = fitted(own, train, test, seed)
            print(f"| {written} | seed {seed} | loss {loss:.2f} | {100 * right:.0f} % | {seconds:.0f} s |", flush=True)


def fitted(protocol: ClassifierProtocol, train: RealClips, test: RealClips, seed: int) -> tuple[float, float, float]:
    """The last epoch's loss, the share of right predictions on test windows, and CPU seconds."""
    began, network = time.process_time(), protocol.build(train.n_classes, seed)
    history = fit(network, train.random(seed), protocol.recipe, seed)
    said = predict_windows(network, test.spaced(protocol.test_windows), protocol.recipe, protocol.test_windows)
    return history[-1].loss, (said == test.labels).float().mean().item(), time.process_time() - began


if __name__ == "__main__":
    main()

"""Measure the memory that a score's classifiers need on small and on large data sets.

`python -m tests.benchmarks.score_memory --clips 2000 20000` writes caches of noise of these sizes, fits one epoch of a
narrow classifier on each, predicts the test clips, and prints the peak of the process's own memory (RssAnon: without
pages of mapped files, which the system can drop). Each size runs in a process of its own.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from videogan.data.cache import planned_shards, write_index, write_shard
from videogan.data.clips import open_cache
from videogan.data.manifest import write_manifest
from videogan.data.preprocessing import preprocessing_named

N_CLASSES, N_GROUPS, LENGTH, SIZE = 10, 40, 24, 32


def write_data(folder: Path, n_clips: int) -> None:
    """A manifest of videos that do not exist, and the cache of their frames."""
    rng = np.random.default_rng(0)
    shas = [f"{number:064x}" for number in range(n_clips)]
    rows = [
        {"path": f"{n}.mp4", "label": str(n % N_CLASSES), "group": str(n // N_CLASSES % N_GROUPS), "sha": sha,
         "split": ("train", "train", "select", "test")[n // N_CLASSES % N_GROUPS % 4], "n_frames": LENGTH, "fps": 25.0,
         "width": SIZE, "height": SIZE, "codec": "none"}
        for n, sha in enumerate(shas)
    ]  # fmt: skip
    (folder / "data").mkdir()
    write_manifest(folder / "data", rows)
    cache, shards = folder / "cache", planned_shards(shas)
    cache.mkdir()
    for shard in shards:
        write_shard(
            cache, shard, ((s, rng.integers(0, 256, (LENGTH, SIZE, SIZE, 3), dtype=np.uint8)) for s in shard.shas)
        )
    write_index(cache, preprocessing_named(f"plain_{SIZE}"), shards)


def own_memory() -> float:
    """RssAnon in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def measure(folder: Path) -> None:
    import torch

    from videogan.classifiers.fit import Recipe
    from videogan.protocols.classifier import ClassifierProtocol, fit_on_real

    torch.set_num_threads(1)
    recipe = Recipe(lr=0.01, batch_size=16, max_epochs=1, patience=1, n_windows=1)
    protocol = ClassifierProtocol(classifier="tsn", width=4, dropout=0.0, size=None, recipe=recipe, test_windows=2)
    store = open_cache(folder / "cache", folder / "data")
    peak, ended = [own_memory()], threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            peak[0] = max(peak[0], own_memory())

    before, began = peak[0], time.monotonic()
    watcher = threading.Thread(target=watch)
    watcher.start()
    clips = {split: store.real_clips(split, 16) for split in ("train", "select", "test")}
    fit_on_real(protocol, clips.pop("train"), clips, seed=0)
    ended.set()
    watcher.join()
    print(
        f"{len(store.files)} clips: {before:.0f} MB before, {peak[0]:.0f} MB at the peak, {time.monotonic() - began:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, nargs="+", default=[2000, 20000])
    parser.add_argument("--in-folder", type=Path)
    chosen = parser.parse_args()
    if chosen.in_folder is not None:
        measure(chosen.in_folder)
        return
    for n_clips in chosen.clips:
        with tempfile.TemporaryDirectory() as folder:
            write_data(Path(folder), n_clips)
            command = [sys.executable, "-m", "tests.benchmarks.score_memory", "--in-folder", folder]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()

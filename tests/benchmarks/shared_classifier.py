"""Measure the savings of sharing classifiers: `python -m tests.benchmarks.shared_classifier` prints the ratio.

Computes S3 of n trials on moving shapes with a tiny protocol. One arm keeps the real-trained classifiers in one cache
for all trials, the other in a separate cache for each trial; with one classifier seed that is n + 1 against 2 n
trainings. Noise replaces a trained generator's clips, because the content of clips does not change the cost. Both arms
score the same trials and take turns, so a busy machine slows both equally. Seconds are the process's CPU time on one
thread.
"""

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import Mock, patch

os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when it is imported

import torch
from torch import Tensor

from videogan.classifiers.fit import Recipe, fit
from videogan.data.clip_set import LabelledClips
from videogan.data.decode import decode
from videogan.data.manifest import Manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.data.synthetic import make_moving_shapes
from videogan.protocols import classifier as real_side
from videogan.protocols import s3 as synthetic_side
from videogan.protocols.classifier import ClassifierProtocol, cached_real_classifier
from videogan.protocols.s3 import RealSide, S3Protocol, s3_evaluation

N_FRAMES, SIZE = 16, 32


@dataclass
class Arm:
    """One way to keep real-trained classifiers: what its trials have trained, and their CPU seconds."""

    name: str
    n_real: int = 0
    n_synthetic: int = 0
    seconds: float = 0.0

    @property
    def n_fits(self) -> int:
        return self.n_real + self.n_synthetic


def tiny(n_seeds: int, n_epochs: int) -> S3Protocol:
    recipe = Recipe(batch_size=16, max_epochs=n_epochs, patience=n_epochs)
    classifier = ClassifierProtocol(classifier="r3d18", width=4, dropout=0.0, size=None, recipe=recipe)
    return S3Protocol(name="tiny", classifier=classifier, seeds=tuple(range(n_seeds)), n_samples=16 * n_seeds)


def clips(manifest: Manifest, split: str) -> LabelledClips:
    rows, plain = manifest.split(split).to_pylist(), preprocessing_named(f"plain_{SIZE}")
    frames = [torch.from_numpy(decode(manifest.location(row["path"]), plain, n_frames=N_FRAMES)) for row in rows]
    labels = torch.tensor([manifest.classes.index(row["label"]) for row in rows])
    return LabelledClips(torch.stack(frames), labels, len(manifest.classes))


def score(arm: Arm, cache: Path, protocol: S3Protocol, trial: int, train: LabelledClips, test: LabelledClips) -> None:
    """One trial's S3, its real-trained classifiers taken from `cache` or left there."""

    def noise(purpose: str, labels: Tensor, seed: int) -> LabelledClips:
        rng = torch.Generator().manual_seed(trial + seed)
        frames = torch.randint(256, (len(labels), *train.shape), generator=rng, dtype=torch.uint8)
        return LabelledClips(frames, labels, train.n_classes)

    counted = Mock(wraps=fit), Mock(wraps=fit)
    with patch.object(real_side, "fit", counted[0]), patch.object(synthetic_side, "fit", counted[1]):
        began = time.process_time()
        held_back = {"test": test}
        real = [cached_real_classifier(cache, protocol.classifier, train, held_back, seed) for seed in protocol.seeds]
        s3_evaluation(protocol, "", RealSide(real, train, test, "test", train), noise)
        arm.seconds += time.process_time() - began
    arm.n_real += counted[0].call_count
    arm.n_synthetic += counted[1].call_count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1, help="classifier seeds of the protocol")
    parser.add_argument("--epochs", type=int, default=4, help="of each training")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    protocol = tiny(chosen.seeds, chosen.epochs)
    shared, own = Arm("one for all trials"), Arm("one for each trial")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = make_moving_shapes(folder / "shapes", n_clips_each=1, n_groups=16, n_frames=N_FRAMES)
        train, test = clips(manifest, "train"), clips(manifest, "test")
        score(Arm("warm-up"), folder / "warm-up", protocol, 0, train, test)
        for trial in range(chosen.trials):
            for arm, cache in ((shared, folder / "shared"), (own, folder / f"own-{trial}")):
                score(arm, cache, protocol, trial, train, test)
    assert shared.n_fits == (chosen.trials + 1) * chosen.seeds, "n + 1 trainings for n trials"
    print(f"{chosen.trials} trials, {chosen.seeds} classifier seed(s), {len(train)} + {len(test)} clips")
    print("| cache | real-trained | synthetic-trained | trainings | CPU, s |")
    print("|---|---|---|---|---|")
    for arm in (shared, own):
        print(f"| {arm.name} | {arm.n_real} | {arm.n_synthetic} | {arm.n_fits} | {arm.seconds:.1f} |")
    print(f"| **ratio** | | | {shared.n_fits / own.n_fits:.2f} | {shared.seconds / own.seconds:.2f} |")


if __name__ == "__main__":
    main()

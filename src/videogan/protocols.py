"""Protocols of S3: everything a score depends on but the generator, under a name (MVT-GAN, sec. 4 and App. B.1)."""

import hashlib
import io
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from videogan.atomic import write_atomically
from videogan.classifiers.fit import Epoch, LabelledClips, Recipe, fit, predict
from videogan.classifiers.resnet3d import ResNet3D18
from videogan.config import Config
from videogan.data.storage import Place
from videogan.metrics.s3 import (
    MAX_SEEDS,
    Interval,
    accuracy,
    s3_chance_corrected,
    s3_of_guessing,
    s3_score,
    seed_interval,
)

Synthesise = Callable[[Tensor, int], Tensor]
"""(labels (n,), seed) -> synthetic clips, uint8 (n, T, H, W, C)."""


class S3Protocol(Config):
    """How S3 is measured; two scores compare only under one protocol on one data set, which is what `digest` tells."""

    name: str
    classifier: Literal["resnet3d18"] = "resnet3d18"
    width: int = Field(64, ge=1)
    shortcut: Literal["A", "B"] = "B"
    dropout: float = Field(0.6, ge=0, lt=1)
    size: int | None = Field(112, ge=32)
    """Side in pixels that frames are resized to before the classifier; None: as they are."""
    n_frames: int = Field(16, ge=8)
    recipe: Recipe = Recipe()
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1, max_length=MAX_SEEDS)
    """One real-trained and one synthetic-trained classifier, and one synthetic train and test set, for each seed."""

    def digest(self, manifest_digest: str, preprocessing: str, n_train: int, n_test: int) -> str:
        """sha256 (hex) of the protocol on one data set; its first 6 digits are what people see."""
        facts = self.model_dump(mode="json") | {
            "manifest": manifest_digest,
            "preprocessing": preprocessing,
            "counts": [n_train, n_test],
            "initial_weights": "random",
            "labels": "one synthetic clip for each real clip, with its label",
            "truncation": None,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def build_classifier(self, n_classes: int, seed: int) -> nn.Module:
        """A fresh classifier whose initial weights follow from `seed`; on the GPU where this process sees one."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = ResNet3D18(n_classes, self.width, self.shortcut, self.dropout)
        network = network if self.size is None else nn.Sequential(ResizeFrames(self.size), network)
        return network.to("cuda" if torch.cuda.is_available() else "cpu")


class ResizeFrames(nn.Module):
    """Resizes the frames of a video (B, T, C, H, W) to `size` x `size`, bilinear and antialiased."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def forward(self, video: Tensor) -> Tensor:
        if video.shape[-2:] == (self.size, self.size):
            return video
        frames = F.interpolate(video.flatten(0, 1), (self.size, self.size), mode="bilinear", antialias=True)
        return frames.unflatten(0, video.shape[:2])


@dataclass(frozen=True)
class RealClassifier:
    """A classifier trained on real clips, with its accuracy on real test clips; made once per protocol and data set."""

    seed: int
    n_classes: int
    rer: float
    weights: dict[str, Tensor]

    def network(self, protocol: S3Protocol) -> nn.Module:
        """The network with its weights, in eval mode."""
        network = protocol.build_classifier(self.n_classes, self.seed)
        network.load_state_dict(self.weights)
        return network.eval()


def fit_on_real(
    protocol: S3Protocol,
    train: LabelledClips,
    test: LabelledClips,
    seed: int,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> RealClassifier:
    """Train real, test real: the classifier behind ReR and ReS."""
    _refuse_other_lengths(protocol, train, test)
    network = protocol.build_classifier(train.n_classes, seed)
    rer = _fit_and_test(protocol, network, train, test, seed, on_epoch)
    return RealClassifier(seed, train.n_classes, rer, network.cpu().state_dict())


def cached_real_classifier(
    folder: Place,
    protocol: S3Protocol,
    train: LabelledClips,
    test: LabelledClips,
    seed: int,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> RealClassifier:
    """The classifier of `seed` kept in `folder`, which is the digest's own; fitted and kept there where it is missing."""
    path = real_classifier_path(folder, seed)
    if not path.exists():
        save_real_classifier(path, fit_on_real(protocol, train, test, seed, on_epoch))
    return load_real_classifier(path)


def real_classifier_path(folder: Place, seed: int) -> Place:
    """Where the classifier of `seed` is kept in the folder of its protocol's digest."""
    return folder / f"real-{seed}.pt"


def save_real_classifier(path: Place, classifier: RealClassifier) -> None:
    """Writes the classifier at once or not at all; of two processes that write it, the last wins."""
    write_atomically(path, lambda stream: torch.save(asdict(classifier), stream))


def load_real_classifier(path: Place) -> RealClassifier:
    """Reads what `save_real_classifier` wrote."""
    stored = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    return RealClassifier(**stored)


def look(protocol: S3Protocol, network: nn.Module, synthesise: Synthesise, labels: Tensor, seed: int) -> float:
    """The cheap score during training: ReS by one shared real-trained `network` on clips of `labels` (n,); not an S3."""
    return accuracy(predict(network, synthesise(labels, seed), protocol.recipe), labels)


@dataclass(frozen=True)
class S3Result:
    """S3 and its accuracies over the classifier seeds, with all that tells what they are worth."""

    protocol: str
    digest: str
    s3: Interval
    ser: Interval
    res: Interval
    rer: Interval
    s3_chance_corrected: Interval
    s3_of_guessing: float
    per_seed: dict[str, list[float]]
    seeds: list[int]
    n_classes: int
    n_train: int
    n_test: int
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON, which has no NaN: null stands for it."""
        plain = asdict(self)
        for key, value in plain.items():
            if isinstance(value, Interval):
                plain[key] = {name: _null_for_nan(number) for name, number in value._asdict().items()}
        plain["s3_of_guessing"] = _null_for_nan(self.s3_of_guessing)
        plain["per_seed"] = {name: [_null_for_nan(value) for value in values] for name, values in self.per_seed.items()}
        return plain


def s3_evaluation(
    protocol: S3Protocol,
    digest: str,
    real: list[RealClassifier],
    train: LabelledClips,
    test: LabelledClips,
    synthesise: Synthesise,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> S3Result:
    """S3 of the generator behind `synthesise`: for each real-trained classifier one ReS, one SeR and so one S3.

    The synthetic sets have the sizes and labels of the real `train` and `test`; the synthetic-trained classifiers start
    from fresh weights and see no real clip before they are tested. `on_progress(done, total)` counts epochs.
    """
    _refuse_other_lengths(protocol, train, test)
    n_epochs = protocol.recipe.max_epochs
    per_seed: dict[str, list[float]] = {"s3": [], "ser": [], "res": [], "rer": [], "s3_chance_corrected": []}
    for position, classifier in enumerate(real):

        def on_epoch(epoch: Epoch, before: int = position * n_epochs) -> None:
            on_progress(before + epoch.number, len(real) * n_epochs)

        res = look(protocol, classifier.network(protocol), synthesise, test.labels, _TEST_SET + classifier.seed)
        frames = synthesise(train.labels, _TRAIN_SET + classifier.seed)
        synthetic = LabelledClips(frames, train.labels, train.n_classes)
        network = protocol.build_classifier(train.n_classes, classifier.seed)
        ser = _fit_and_test(protocol, network, synthetic, test, classifier.seed, on_epoch)
        on_progress((position + 1) * n_epochs, len(real) * n_epochs)  # it may have stopped early
        accuracies = (ser, res, classifier.rer)
        scores = (s3_score(*accuracies), *accuracies, s3_chance_corrected(*accuracies, train.n_classes))
        for name, value in zip(per_seed, scores, strict=True):
            per_seed[name].append(value)
    return _summary(protocol, digest, per_seed, [c.seed for c in real], train, test)


# Synthetic sets are drawn from seeds of their own, apart from each other and from the looks that chose the generator.
_TRAIN_SET, _TEST_SET = 1_000_000, 2_000_000


def _fit_and_test(
    protocol: S3Protocol,
    network: nn.Module,
    train: LabelledClips,
    test: LabelledClips,
    seed: int,
    on_epoch: Callable[[Epoch], None] | None,
) -> float:
    schedule_on = test if protocol.recipe.paper_protocol else None
    fit(network, train, protocol.recipe, seed, schedule_on, on_epoch)
    return accuracy(predict(network, test.frames, protocol.recipe), test.labels)


def _summary(
    protocol: S3Protocol,
    digest: str,
    per_seed: dict[str, list[float]],
    seeds: list[int],
    train: LabelledClips,
    test: LabelledClips,
) -> S3Result:
    intervals = {name: seed_interval(values) for name, values in per_seed.items()}
    return S3Result(
        protocol=protocol.name,
        digest=digest,
        **intervals,
        s3_of_guessing=s3_of_guessing(intervals["rer"].mean, train.n_classes),
        per_seed=per_seed,
        seeds=seeds,
        n_classes=train.n_classes,
        n_train=len(train),
        n_test=len(test),
        warnings=_warnings(intervals["ser"], intervals["rer"], 1 / train.n_classes),
    )


def _warnings(ser: Interval, rer: Interval, chance: float) -> list[str]:
    warnings = []
    if rer.mean < 0.9:
        warnings.append(f"ReR is {rer.mean:.3f}, below 0.9: dividing by it flatters S3.")
    if math.isnan(ser.low):
        warnings.append("one classifier seed: the scores have no interval.")
    elif ser.low <= chance:
        warnings.append(f"SeR's interval [{ser.low:.3f}, {ser.high:.3f}] includes chance ({chance:.3f}).")
    return warnings


def _refuse_other_lengths(protocol: S3Protocol, *sets: LabelledClips) -> None:
    for clips in sets:
        n_frames = clips.frames.shape[1]
        if n_frames != protocol.n_frames:
            raise ValueError(f"{protocol.name} needs clips of {protocol.n_frames} frames, got {n_frames}.")


def _null_for_nan(number: float) -> float | None:
    return None if math.isnan(number) else number


def _scaled_recipe(max_epochs: int, patience: int) -> Recipe:
    """Of the scaled protocols, which take frames as they are and a narrow network; chosen by measurement on moving
    shapes at 32 px.

    The first gradients have norms near 70, and clipping at 5 rather than 50 decides how soon motion is found; shifted
    crops decide whether it is found on new groups; without a least number of updates 40 clips train nothing.
    """
    return Recipe(
        lr=0.01,
        batch_size=16,
        max_epochs=max_epochs,
        min_updates_per_epoch=20,
        patience=patience,
        clip_norm=5,
        crop_padding=4,
    )


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        S3Protocol(name="s3_r3d18_v1"),
        S3Protocol(
            name="s3_r3d18_laptop_v1",
            width=16,
            dropout=0.0,
            size=None,
            recipe=_scaled_recipe(max_epochs=20, patience=10),
        ),
        S3Protocol(
            name="s3_r3d18_smoke_v1",
            width=8,
            dropout=0.0,
            size=None,
            # Too short for a drop: the rate stays as it is.
            recipe=_scaled_recipe(max_epochs=8, patience=8),
        ),
    )
}

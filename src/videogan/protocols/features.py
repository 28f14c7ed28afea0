"""IS, FID, FVD-style and kernel distances by a named protocol, of samples and of real clips."""

import math
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from videogan.classifiers.contract import VideoClassifier
from videogan.classifiers.fit import LabelledClips, features, probabilities
from videogan.config import Config
from videogan.metrics.frechet import frechet_distance, moments
from videogan.metrics.inception_score import inception_score
from videogan.metrics.kernel_distance import kernel_distance
from videogan.protocols.classifier import ClassifierProtocol, DataFacts, digest_of, refuse_other_lengths
from videogan.protocols.s3 import SyntheticSet, different_clips, like_real, warnings_of_copies
from videogan.storage.json_values import json_values

FeatureMetric = Literal["is", "fid", "fvd", "kvd"]
SAMPLES_AT_ONCE = 512


class FeatureProtocol(Config):
    """The settings of a score on features.

    is: inception score of the class probabilities; higher is better, 1 to K. fid: Frechet distance of penultimate
    features, as in the MVT-GAN paper with its TSN (SCIENCE D4); lower is better. fvd: Frechet distance of logits, as in
    Unterthiner et al. 2018 with I3D; lower is better. kvd: unbiased kernel distance (MMD^2) of penultimate features;
    lower is better, the best values are near 0 with either sign.

    Labels of samples are drawn with the class frequencies of the real training clips, to which distances are measured.
    """

    name: str
    metric: FeatureMetric
    classifier: ClassifierProtocol
    n_samples: int = Field(ge=2)
    n_repeats: int = Field(ge=1)
    seed: int = 0
    """Seed of the one real-trained classifier."""

    @property
    def layer(self) -> Literal["penultimate", "logits"]:
        """The layer whose outputs the distances compare."""
        return "logits" if self.metric == "fvd" else "penultimate"

    def digest(self, data: DataFacts) -> str:
        """sha256 (hex) of the protocol on one data set; its first 6 digits are displayed."""
        facts = self.model_dump(mode="json", exclude={"classifier"}) | {"truncation": None}
        return digest_of(facts | self.classifier.facts() | data.facts())


@dataclass(frozen=True)
class FeatureResult:
    """A score on features over its repeats, and the same score of real clips."""

    protocol: str
    digest: str
    metric: str
    mean: float
    spread: float
    """Population standard deviation over the repeats, as in the papers; NaN for one repeat."""
    values: list[float]
    real: float
    """The score of real test clips in place of samples: the ceiling of IS, the floor of distances."""
    n_samples: int
    n_repeats: int
    n_real_train: int
    n_real_test: int
    n_features: int
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """Values for JSON, with null for NaN."""
        return json_values(asdict(self))


def feature_score(
    protocol: FeatureProtocol,
    digest: str,
    network: VideoClassifier,
    train: LabelledClips,
    test: LabelledClips,
    synthesise: SyntheticSet,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> FeatureResult:
    """The score of the generator behind `synthesise` by the real-trained `network`, over the protocol's repeats.

    `on_progress(done, total)` counts samples. Raises ValueError for clips of another length, samples of another shape,
    a distance to a test set of one clip, or a trained classifier with one class where the score needs more.
    """
    refuse_other_lengths(protocol.classifier, train, test)
    _refuse_no_classes(protocol, train)
    measure, synthesise = _measure(protocol, network, train), like_real(synthesise, train)
    values, n_different = [], []
    for repeat in range(protocol.n_repeats):
        outputs, n_unequal = _outputs_of_samples(protocol, network, train, synthesise, repeat, on_progress)
        values.append(measure(outputs))
        n_different.append(n_unequal)
    of_test = _outputs(protocol, network, test.frames)
    real, n_features = measure(of_test), of_test.shape[1]
    warnings = _warnings(protocol, n_features, len(train), len(test))
    warnings += warnings_of_copies("samples", n_different, protocol.n_samples)
    if protocol.metric == "is" and max(values) > real:
        warnings.append(
            f"above the {real:.2f} of real clips: the classifier is more certain about samples than about real clips."
        )
    return FeatureResult(
        protocol=protocol.name,
        digest=digest,
        metric=protocol.metric,
        mean=statistics.fmean(values),
        spread=statistics.pstdev(values) if len(values) > 1 else math.nan,
        values=values,
        real=real,
        n_samples=protocol.n_samples,
        n_repeats=protocol.n_repeats,
        n_real_train=len(train),
        n_real_test=len(test),
        n_features=n_features,
        warnings=warnings,
    )


def _outputs_of_samples(
    protocol: FeatureProtocol,
    network: VideoClassifier,
    train: LabelledClips,
    synthesise: SyntheticSet,
    repeat: int,
    on_progress: Callable[[int, int], None],
) -> tuple[Tensor, int]:
    """The network's outputs (n_samples, d) for the samples of one repeat, and how many of the samples differ."""
    outputs: list[Tensor] = []
    different: set[bytes] = set()
    done = repeat * protocol.n_samples
    for chunk in sample_labels(train, protocol.n_samples, seed=repeat).split(SAMPLES_AT_ONCE):
        # Each chunk has its own seed: samples of one seed start with the same codes.
        samples = synthesise("samples", chunk, done)
        outputs.append(_outputs(protocol, network, samples))
        different |= different_clips(samples)
        done += len(chunk)
        on_progress(done, protocol.n_samples * protocol.n_repeats)
    return torch.cat(outputs), len(different)


def kernel_look(sample_features: Tensor, train_features: Tensor) -> float:
    """The cheap score during training without classes: minus the kernel distance of samples to real clips.

    (n, d) and (m, d): penultimate features of samples and of real training clips. Higher is better.
    """
    return -kernel_distance(sample_features, train_features)


def sample_labels(train: LabelledClips, n: int, seed: int) -> Tensor:
    """n labels (n,) drawn independently with the class frequencies of the training clips.

    The kernel distance is unbiased only for independent samples: with exact shares, two samples would share a class
    less often than a sample and a real clip, and the distance would be negative.
    """
    return train.labels[torch.randint(len(train), (n,), generator=torch.Generator().manual_seed(seed))]


def _refuse_no_classes(protocol: FeatureProtocol, train: LabelledClips) -> None:
    if protocol.metric in ("is", "fvd") and protocol.classifier.trained and train.n_classes < 2:
        raise ValueError(
            f"{protocol.name} needs a classifier of at least 2 classes, got {train.n_classes}; use kvd or fid."
        )


def _outputs(protocol: FeatureProtocol, network: VideoClassifier, frames: Tensor) -> Tensor:
    recipe = protocol.classifier.recipe
    if protocol.metric == "is":
        return probabilities(network, frames, recipe)
    return features(network, frames, recipe, protocol.layer)


def _measure(protocol: FeatureProtocol, network: VideoClassifier, train: LabelledClips) -> Callable[[Tensor], float]:
    """A function from outputs (n, d) of the network to the score; the part of the real clips is computed only once."""
    if protocol.metric == "is":
        return inception_score
    real = _outputs(protocol, network, train.frames)
    if protocol.metric == "kvd":
        return lambda outputs: kernel_distance(outputs, real)
    real_moments = moments(real)
    return lambda outputs: frechet_distance(*moments(outputs), *real_moments)


def _warnings(protocol: FeatureProtocol, n_features: int, n_train: int, n_test: int) -> list[str]:
    warnings = []
    if protocol.metric in ("fid", "fvd"):
        for what, n in (("samples", protocol.n_samples), ("real train clips", n_train), ("real test clips", n_test)):
            if n <= n_features:
                warnings.append(
                    f"{n} {what} for {n_features} features: their covariance is singular, the distance biased."
                )
    if protocol.metric != "kvd" and n_test != protocol.n_samples:
        warnings.append(f"biased by the number of clips: {protocol.n_samples} samples, but {n_test} real test clips.")
    return warnings

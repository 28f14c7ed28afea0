"""IS, FID, FVD-style and kernel distances by a named protocol, of samples and of real clips."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from videogan.classifiers.contract import VideoClassifier
from videogan.classifiers.fit import features, window_features
from videogan.config import Config
from videogan.data.clip_set import ClipSet, all_windows
from videogan.data.manifest import ScoredSplit
from videogan.metrics.features import root_mean_square
from videogan.metrics.frechet import frechet_distance, moments
from videogan.metrics.inception_score import inception_score
from videogan.metrics.interval import Interval
from videogan.metrics.kernel_distance import kernel_distance
from videogan.metrics.seed_interval import MAX_SEEDS, seed_interval
from videogan.protocols.classifier import ClassifierProtocol, DataFacts, digest_of, refuse_other_lengths
from videogan.protocols.s3 import RealSide, SyntheticSet, different_clips, like_real, warnings_of_copies
from videogan.storage.json_values import json_values

FeatureMetric = Literal["is", "fid", "fvd", "kvd"]
SAMPLES_AT_ONCE = 512
MOST_OUTSIDE = 0.1


class FeatureProtocol(Config):
    """The settings of a score on features.

    is: inception score of the class probabilities; higher is better, 1 to K. fid: Frechet distance of penultimate
    features, as in the MVT-GAN paper with its TSN (SCIENCE D4); lower is better. fvd: Frechet distance of logits, as in
    Unterthiner et al. 2018 with I3D; lower is better. kvd: unbiased kernel distance (MMD^2) of penultimate features;
    lower is better, the best values are near 0 with either sign.

    A distance goes to the real clips of the scored split, which no classifier was fitted on: a generator that copies
    training clips does not win by it. It is the mean over the classifiers of `seeds`, because equally trained
    classifiers differ in it, each with features in a unit of its own (`has_own_unit`). Labels of samples are drawn with
    the class frequencies of the clips of that split.
    """

    name: str
    metric: FeatureMetric
    classifier: ClassifierProtocol
    n_samples: int = Field(ge=2)
    n_repeats: int = Field(ge=1)
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1, max_length=MAX_SEEDS)
    """Seeds of the real-trained classifiers."""

    @property
    def layer(self) -> Literal["penultimate", "logits"]:
        """The layer whose outputs the distances compare; is: that of the class probabilities."""
        return "logits" if self.metric in ("is", "fvd") else "penultimate"

    @property
    def has_own_unit(self) -> bool:
        """Whether features are measured in the root mean square of those of the scored real clips.

        How large the features of a network trained on the data are is chance, and a mean over such networks would be
        the distance by the one with the largest. Weights that are used unchanged keep their unit, as in papers.
        """
        return self.classifier.trained and self.metric != "is"

    def digest(self, data: DataFacts, split: ScoredSplit) -> str:
        """sha256 (hex) of the protocol on a split of one data set; its first 6 digits are displayed."""
        facts = self.model_dump(mode="json", exclude={"classifier"}) | {"truncation": None, "split": split}
        facts |= {"unit": "root mean square of the real features"} if self.has_own_unit else {}
        return digest_of(facts | self.classifier.facts() | data.facts())


@dataclass(frozen=True)
class FeatureResult:
    """A score on features over classifiers and repeats, and the same score of real clips."""

    protocol: str
    digest: str
    split: str
    """The real clips that the score is measured on."""
    metric: str
    mean: float
    low: float
    """Student's 95 % interval of the mean over classifier seeds; NaN for one seed."""
    high: float
    spread: float
    """Population standard deviation over the repeats, as in the papers, mean over seeds; NaN for one repeat."""
    values: list[float]
    """The mean over classifiers of each repeat."""
    per_seed: list[float]
    """The mean over repeats of each classifier."""
    real: float
    """The score of real clips in place of samples: the ceiling of IS, the floor of distances."""
    real_low: float
    real_high: float
    """Bounds of its 95 % interval over classifier seeds, as `real_low`."""
    outside: float
    """Share of samples whose features are longer than those of every real training clip, mean over classifiers."""
    n_samples: int
    n_repeats: int
    n_real: int
    """Real clips of the split."""
    n_features: int
    warnings: list[str]

    def __repr__(self) -> str:
        """The score in one line, for a print in a notebook; `to_json` has every field."""
        score = f"{self.metric} {Interval(self.mean, self.low, self.high).brief}, of real clips {self.real:.3g}"
        return f"FeatureResult({self.protocol} {self.digest[:6]} on {self.n_real} {self.split} clips: {score})"

    def to_json(self) -> dict[str, Any]:
        """Values for JSON, with null for NaN."""
        return json_values(asdict(self))


def feature_score(
    protocol: FeatureProtocol,
    digest: str,
    real: RealSide,
    synthesise: SyntheticSet,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> FeatureResult:
    """The score of the generator behind `synthesise` over the protocol's classifiers and repeats.

    All classifiers see the same samples. `on_progress(done, total)` counts samples. Raises ValueError for clips of
    another length, samples of another shape, a distance to a single real clip, or a trained classifier with one class
    where the score needs more.
    """
    refuse_other_lengths(protocol.classifier, real.train, real.scored)
    _refuse_no_classes(protocol, real.train)
    synthesise = like_real(synthesise, real.train)
    judges = [_Judge(protocol, classifier.network(protocol.classifier), real) for classifier in real.classifiers]
    values: list[list[float]] = []  # of each repeat: one for each classifier
    n_different = []
    for repeat in range(protocol.n_repeats):
        outputs, n_unequal = _outputs_of_samples(protocol, judges, real.scored, synthesise, repeat, on_progress)
        values.append([judge.measure(seen, repeat) for judge, seen in zip(judges, outputs, strict=True)])
        n_different.append(n_unequal)
    per_seed = [statistics.fmean(of_seed) for of_seed in zip(*values, strict=True)]
    over_repeats = [statistics.pstdev(of_seed) for of_seed in zip(*values, strict=True)]
    found, of_real = seed_interval(per_seed), seed_interval([judge.of_real() for judge in judges])
    outside, n_features = statistics.fmean(judge.share_outside for judge in judges), judges[0].n_features
    warnings = _warnings(protocol, n_features, real, outside, found, of_real)
    warnings += warnings_of_copies("samples", n_different, protocol.n_samples)
    return FeatureResult(
        protocol=protocol.name,
        digest=digest,
        split=real.split,
        metric=protocol.metric,
        mean=found.mean,
        low=found.low,
        high=found.high,
        spread=statistics.fmean(over_repeats) if protocol.n_repeats > 1 else math.nan,
        values=[statistics.fmean(of_repeat) for of_repeat in values],
        per_seed=per_seed,
        real=of_real.mean,
        real_low=of_real.low,
        real_high=of_real.high,
        outside=outside,
        n_samples=protocol.n_samples,
        n_repeats=protocol.n_repeats,
        n_real=len(real.scored),
        n_features=n_features,
        warnings=warnings,
    )


class _Judge:
    """One real-trained classifier and what it makes of the real clips."""

    def __init__(self, protocol: FeatureProtocol, network: VideoClassifier, real: RealSide) -> None:
        self._protocol, self._network = protocol, network
        recipe, n_windows = protocol.classifier.recipe, protocol.classifier.test_windows
        reference, held_back = (
            window_features(network, clips.spaced(n_windows), recipe, protocol.layer, n_windows)
            for clips in (real.scored, real.held_back)
        )
        self._unit = root_mean_square(reference) if protocol.has_own_unit else 1.0
        self._reference, self._held_back = self._seen(reference), self._seen(held_back)  # (n_windows, n, d)
        shown = window_features(network, real.train.random(0), recipe, protocol.layer)
        self._longest = shown.norm(dim=2).max().item()
        self._n_outside, self._n_seen = 0, 0

    @property
    def n_features(self) -> int:
        return self._reference.shape[2]

    @property
    def share_outside(self) -> float:
        return self._n_outside / self._n_seen

    def outputs(self, samples: Tensor) -> Tensor:
        """The network's outputs (n, d) for samples uint8 (n, T, H, W, C)."""
        outputs = features(self._network, samples, self._protocol.classifier.recipe, self._protocol.layer)
        self._n_outside += int((outputs.norm(dim=1) > self._longest).sum())
        self._n_seen += len(samples)
        return self._seen(outputs)

    def _seen(self, outputs: Tensor) -> Tensor:
        return outputs.softmax(-1) if self._protocol.metric == "is" else outputs / self._unit

    def measure(self, outputs: Tensor, repeat: int) -> float:
        """The score of (n, d) outputs. Kernel distances compare one window of each real clip, another in each repeat:
        several of one clip are not independent and would bias them.
        """
        if self._protocol.metric == "is":
            return inception_score(outputs)
        if self._protocol.metric == "kvd":
            return kernel_distance(outputs, self._reference[repeat % len(self._reference)])
        return frechet_distance(*moments(outputs), *self._moments)

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        return moments(self._reference.flatten(0, 1))

    def of_real(self) -> float:
        """The score of real clips in place of samples."""
        if self._protocol.metric == "is":
            return inception_score(self._reference.flatten(0, 1))
        if self._protocol.metric == "kvd":
            windows = zip(self._held_back, self._reference, strict=True)
            return statistics.fmean(kernel_distance(held_back, reference) for held_back, reference in windows)
        return frechet_distance(*moments(self._held_back.flatten(0, 1)), *self._moments)


def _outputs_of_samples(
    protocol: FeatureProtocol,
    judges: Sequence[_Judge],
    scored: ClipSet,
    synthesise: SyntheticSet,
    repeat: int,
    on_progress: Callable[[int, int], None],
) -> tuple[list[Tensor], int]:
    """Each judge's outputs (n_samples, d) for the samples of one repeat, and how many of the samples differ."""
    outputs: list[list[Tensor]] = [[] for _ in judges]
    different: set[bytes] = set()
    done = repeat * protocol.n_samples
    for chunk in sample_labels(scored, protocol.n_samples, seed=repeat).split(SAMPLES_AT_ONCE):
        # Each chunk has its own seed: samples of one seed start with the same codes.
        samples = all_windows(synthesise("samples", chunk, done))
        for judge, seen in zip(judges, outputs, strict=True):
            seen.append(judge.outputs(samples))
        different |= different_clips(samples)
        done += len(chunk)
        on_progress(done, protocol.n_samples * protocol.n_repeats)
    return [torch.cat(seen) for seen in outputs], len(different)


def kernel_look(sample_features: Tensor, real_features: Tensor) -> float:
    """The cheap score during training without classes: minus the kernel distance of samples to real clips.

    (n, d) and (m, d): penultimate features of samples and of real clips of the scored split, which give the unit as in
    a score. Higher is better.
    """
    unit = root_mean_square(real_features)
    return -kernel_distance(sample_features / unit, real_features / unit)


def sample_labels(real: ClipSet, n: int, seed: int) -> Tensor:
    """n labels (n,) drawn independently with the class frequencies of the real clips.

    The kernel distance is unbiased only for independent samples: with exact shares, two samples would share a class
    less often than a sample and a real clip, and the distance would be negative.
    """
    return real.labels[torch.randint(len(real), (n,), generator=torch.Generator().manual_seed(seed))]


def _refuse_no_classes(protocol: FeatureProtocol, train: ClipSet) -> None:
    if protocol.metric in ("is", "fvd") and protocol.classifier.trained and train.n_classes < 2:
        raise ValueError(
            f"{protocol.name} needs a classifier of at least 2 classes, got {train.n_classes}; use kvd or fid."
        )


def _warnings(
    protocol: FeatureProtocol, n_features: int, real: RealSide, outside: float, found: Interval, of_real: Interval
) -> list[str]:
    warnings = []
    n_windows = protocol.classifier.test_windows * len(real.scored)
    if protocol.metric in ("fid", "fvd"):
        for what, n in (("samples", protocol.n_samples), (f"real {real.split} windows", n_windows)):
            if n <= n_features:
                warnings.append(
                    f"{n} {what} for {n_features} features: their covariance is singular, the distance biased."
                )
    if protocol.metric != "kvd" and n_windows != protocol.n_samples:
        warnings.append(f"biased by the number of clips: {protocol.n_samples} samples, but {n_windows} real windows.")
    if outside > MOST_OUTSIDE:
        warnings.append(
            f"{100 * outside:.0f} % of the samples have longer features than any real training clip: the classifiers "
            "judge clips unlike all they were trained on, so the size of the score means little."
        )
    if protocol.metric == "is" and found.mean > of_real.mean:
        warnings.append(
            f"above the {of_real.mean:.2f} of real clips: "
            "the classifier is more certain about samples than about real clips."
        )
    return warnings

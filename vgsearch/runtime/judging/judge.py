"""The judge of synthetic clips: the real clips of a data set and the classifiers trained on them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial, reduce
from typing import cast

import torch
from torch import Tensor

from vgsearch.experiment.objective import Objective, looks_at_distance, parsed
from vgsearch.experiment.score import CopyShare, FeatureScore, S3Score, Score
from vgsearch.runtime.feed.inputs import Inputs
from videogan.classifiers.contract import VideoClassifier
from videogan.classifiers.fit import features, window_features
from videogan.config import ConfigurationError
from videogan.data.clip_set import ClipSet, LabelledClips, RealClips, Subset, all_windows
from videogan.data.clips import DataConfig
from videogan.families.contract import Generator
from videogan.metrics import OF_PACKAGES
from videogan.protocols.blind_spots import BlindSpots, Neighbours, Seen, blind_spots
from videogan.protocols.classifier import ClassifierProtocol
from videogan.protocols.copies import (
    Copies,
    TrainingWindows,
    copies,
    labels_of_samples,
    load_training_windows,
    save_training_windows,
    training_windows,
)
from videogan.protocols.features import (
    FeatureMetric,
    FeatureProtocol,
    FeatureResult,
    feature_score,
    kernel_look,
    sample_labels,
)
from videogan.protocols.own_metric import OwnMetric, OwnResult, own_metric, own_scores
from videogan.protocols.s3 import (
    RealSide,
    S3Protocol,
    S3Result,
    SeedFindings,
    SyntheticSet,
    findings,
    like_real,
    look,
    s3_evaluation,
)
from videogan.protocols.standard_fvd import (
    OTHERS,
    ClipMoments,
    OtherPart,
    RealMoments,
    StandardFVD,
    cached_moments,
    clip_moments,
    standard_fvd,
)
from videogan.protocols.training_features import (
    TrainingFeatures,
    features_ratio,
    load_training_features,
    save_training_features,
    training_features,
)
from videogan.sampling.generated_clips import GeneratedClips
from videogan.sampling.sampling import sampling_copy
from videogan.seeds import seed_of
from videogan.storage.cached_file import made_once
from videogan.training.health import SampleCheck
from videogan.training.run_config import RunConfig
from videogan.training.scored_run import ScoredRun

OnProgress = Callable[[int, int], None]


class Judge:
    """The real clips of one data set and the classifiers trained on them; windows are read when they are needed."""

    def __init__(self, inputs: Inputs, data: DataConfig, n_frames: int) -> None:
        self._inputs, self._data, self._n_frames = inputs, data, n_frames
        self._train, self._other_half = inputs.train_parts(data, n_frames)

    @property
    def train(self) -> RealClips:
        """The training clips."""
        return self._train

    @cached_property
    def scored(self) -> RealClips:
        """The clips that scores are measured on."""
        return self._inputs.real_clips(self._data, self._n_frames, self._inputs.scored)

    @property
    def held_back(self) -> RealClips:
        """Real clips that are not scored: unseen by the classifiers if possible, else the training clips."""
        if self._other_half is not None:
            return self._other_half
        if self._inputs.scored == "test" and "select" in self._inputs.held_back_splits:
            return self._inputs.real_clips(self._data, self._n_frames, "select")
        return self._train

    def score(
        self,
        protocol: S3Protocol | FeatureProtocol,
        synthetic: SyntheticSet,
        on_progress: OnProgress = lambda done, total: None,
        found: Mapping[int, SeedFindings] = {},
    ) -> S3Result | FeatureResult:
        """The score of `synthetic` by a protocol whose real-trained classifiers are in the cache.

        found: what other processes found for S3, by classifier seed.
        """
        digest, real = protocol.digest(self._inputs.facts, self._inputs.scored), self._real_side(protocol)
        if isinstance(protocol, S3Protocol):
            return s3_evaluation(protocol, digest, real, synthetic, on_progress, found)
        return feature_score(protocol, digest, real, synthetic, on_progress)

    def findings(
        self,
        protocol: S3Protocol,
        synthetic: SyntheticSet,
        seeds: Sequence[int],
        on_progress: OnProgress = lambda done, total: None,
    ) -> dict[int, SeedFindings]:
        """What the classifiers of some seeds of S3 find, by seed."""
        return findings(protocol, self._real_side(protocol), synthetic, seeds, on_progress)

    def _real_side(self, protocol: S3Protocol | FeatureProtocol) -> RealSide:
        classifiers = self._inputs.real_classifiers(protocol.classifier, protocol.seeds)
        return RealSide(classifiers, self.train, self.scored, self._inputs.scored, self.held_back)

    @property
    def n_frames(self) -> int:
        return self._n_frames

    def own_scores(self, protocol: OwnMetric, synthetic: SyntheticSet, on_progress: OnProgress) -> list[OwnResult]:
        """The values of an installed package's metric of `synthetic`."""
        real = RealSide([], self.train, self.scored, self._inputs.scored, self.held_back)
        digest = protocol.digest(self._inputs.facts, self._inputs.scored)
        return own_scores(protocol, digest, real, synthetic, on_progress)

    def standard_fvd(self, protocol: StandardFVD, synthetic: SyntheticSet, on_progress: OnProgress) -> FeatureResult:
        """The field's FVD of `synthetic`; what it needs of the real clips is computed once for all subjects."""
        compared, others = self._part(protocol.real), OTHERS[protocol.real]
        n, sides = protocol.n_samples, 3  # real clips, others, samples

        def side(number: int) -> OnProgress:
            return lambda done, total: on_progress(number * n + done, sides * n)

        real = RealMoments(
            self._moments(protocol, protocol.real, side(0)),
            None if others is None else self._moments(protocol, others, side(1)),
            protocol.real,
        )
        labels = sample_labels(compared, n, seed=0)
        samples = like_real(synthetic, compared)("unlabelled", labels, 0)
        digest = protocol.digest(self._inputs.facts)
        return standard_fvd(protocol, digest, real, clip_moments(protocol, samples, self._inputs.device, side(2)))

    def _moments(self, protocol: StandardFVD, part: OtherPart, on_progress: OnProgress) -> ClipMoments:
        path = self._inputs.moments_path(protocol.digest_of_moments(self._inputs.facts, part))
        return cached_moments(path, protocol, self._part(part), self._inputs.device, on_progress)

    def _part(self, part: OtherPart) -> RealClips:
        if part != "all":
            return {"train": self.train, "test": self.scored, "held_back": self.held_back}[part]
        wholes = (self._inputs.real_clips(self._data, self._n_frames, split) for split in dict(self._inputs.n_clips))
        return reduce(lambda a, b: replace(a, selection=a.selection.joined(b.selection)), wholes)

    @cached_property
    def windows(self) -> TrainingWindows:
        """All windows of the training clips: from the cache, or computed and cached."""
        path = self._inputs.windows_path(self._n_frames)

        def make() -> None:
            splits = self._inputs.held_back_splits
            unseen = {str(split): self._inputs.real_clips(self._data, self._n_frames, split) for split in splits}
            save_training_windows(path, training_windows(self.train, unseen))

        return made_once(path, load_training_windows, make)

    def prepare_copies(self, protocol: ClassifierProtocol) -> None:
        """Cache what `copies` compares samples with, so that not every trial computes it."""
        assert self.windows.real, "a data set without held-back clips has no scores"
        self._training_features(protocol, self.network(protocol, 0))

    def copies(self, protocol: ClassifierProtocol, synthetic: SyntheticSet) -> Copies:
        """The share of copies among samples of `synthetic`, beside the clips that scores are measured on."""
        labels = labels_of_samples(self.train)
        samples = LabelledClips(all_windows(synthetic("samples", labels, 0)), labels, self.train.n_classes)
        found = copies(samples, self.windows, self.train, self._inputs.scored)[0]
        rows = torch.linspace(0, len(self.scored) - 1, min(len(self.scored), len(samples))).round().long()
        network, real = self.network(protocol, 0), all_windows(Subset(self.scored.spaced(1), rows))
        training = self._training_features(protocol, network)
        return replace(found, features=features_ratio(network, protocol.recipe, samples.frames, real, training))

    def blind_spots(self, protocol: ClassifierProtocol, synthetic: SyntheticSet) -> tuple[BlindSpots, Neighbours]:
        """The blind spots of the scores on `synthetic`, by the first real-trained classifier."""
        network = self.network(protocol, 0)
        find = partial(copies, windows=self.windows, train=self.train, split=self._inputs.scored)
        seen = Seen(self._training_features(protocol, network), find)
        return blind_spots(protocol, network, self.train, self.scored, synthetic, seen)

    def _training_features(self, protocol: ClassifierProtocol, network: VideoClassifier) -> TrainingFeatures:
        """Of the first real-trained classifier: from the cache, or computed and cached."""
        path = self._inputs.features_path(protocol)

        def make() -> None:
            save_training_features(path, training_features(network, self.train, protocol.recipe))

        return made_once(path, load_training_features, make)

    def network(self, protocol: ClassifierProtocol, seed: int) -> VideoClassifier:
        """A real-trained network, in eval mode."""
        (classifier,) = self._inputs.real_classifiers(protocol, (seed,))
        return classifier.network(protocol)


def needs_s3(config: ScoredRun) -> bool:
    """Whether one of a run's objectives is S3 or a part of it."""
    return any(objective.is_part_of_s3 for objective in parsed(config.evaluation.objective))


def objective_scores(
    config: ScoredRun,
    judge: Judge,
    synthetic: SyntheticSet,
    on_progress: OnProgress = lambda done, total: None,
    found: Mapping[int, SeedFindings] = {},
) -> dict[str, S3Result | FeatureResult | OwnResult]:
    """The scores of a run's objectives: "s3", and each other score by its objective's name; `found` as of `score`.

    Raises ConfigurationError for a package's metric without a value of its own name in the objective's direction.
    """
    objectives = parsed(config.evaluation.objective)
    results: dict[str, S3Result | FeatureResult | OwnResult] = {}
    if needs_s3(config):
        results["s3"] = judge.score(config.evaluation.s3_protocol, synthetic, on_progress, found)
    for metric in (objective.name for objective in objectives if objective.is_of_features):
        results[metric] = judge.score(
            config.evaluation.feature_protocol(cast(FeatureMetric, metric)), synthetic, on_progress
        )
    for objective in objectives:
        if objective.of_package is not None:
            protocol = own_metric(objective.name.removeprefix(OF_PACKAGES))
            results[objective.name] = _of_objective(objective, judge.own_scores(protocol, synthetic, on_progress))
    return results


def _of_objective(objective: Objective, results: Sequence[OwnResult]) -> OwnResult:
    name, better = objective.name.removeprefix(OF_PACKAGES), "higher" if objective.direction == "maximize" else "lower"
    for result in results:
        if (result.metric, result.better) == (name, better):
            return result
    returned = ", ".join(f"{result.metric} ({result.better})" for result in results)
    raise ConfigurationError(
        f"{results[0].package}: evaluation.objective {objective} needs a value '{name}' whose {better} values are better, "
        f"the metric returns {returned}."
    )


def score_of(results: Mapping[str, S3Result | FeatureResult | OwnResult], copied: Copies | None = None) -> Score:
    """The results as the ledger stores them: without values per class, whose number grows with the classes."""
    s3 = next((result for result in results.values() if isinstance(result, S3Result)), None)
    features = {name: FeatureScore.from_json(result.to_json()) for name, result in results.items()
                if isinstance(result, FeatureResult | OwnResult)}  # fmt: skip
    share = None if copied is None else CopyShare.from_json(asdict(copied))
    return Score(None if s3 is None else S3Score.from_json(s3.summary()), features, copies=share)


class Looks:
    """The cheap score of a trial's samples during training, always on the same codes.

    It is ReS, or minus a kernel distance; larger is better.
    """

    def __init__(self, judge: Judge, config: ScoredRun) -> None:
        self._protocol = config.evaluation.s3_protocol.classifier
        self._network = judge.network(self._protocol, 0)
        scored: ClipSet = judge.scored.spaced(1)
        if config.data.only_class is not None:
            scored = Subset(scored, (scored.labels == config.data.only_class).nonzero().flatten())
        n = min(len(scored), config.evaluation.n_look_clips)
        shown = Subset(scored, torch.linspace(0, len(scored) - 1, n).long())
        frames = all_windows(shown)
        self._labels, self._seed = shown.labels, config.seed
        # A generator without labels makes no clips of a class: its samples are compared as one class.
        labels = shown.labels if config.n_conditions > 1 else torch.zeros_like(shown.labels)
        self._check = SampleCheck(frames, self._features(frames), labels, config.n_conditions)
        self._real: Tensor | None = None
        if looks_at_distance(parsed(config.evaluation.objective)):
            recipe = self._protocol.recipe
            self._real = window_features(self._network, scored, recipe, "penultimate")[0]

    def __call__(self, synthetic: SyntheticSet) -> tuple[float, dict[str, float]]:
        """The cheap score of new samples, and their vitals."""
        frames = all_windows(synthetic("look", self._labels, self._seed))
        learnt = self._features(frames)
        return self._score(learnt), self._check(frames, learnt)

    def _score(self, learnt: Tensor) -> float:
        if self._real is None:
            return look(self._protocol, self._network, learnt, self._labels)
        return kernel_look(learnt, self._real)

    def _features(self, frames: Tensor) -> Tensor:
        return features(self._network, frames, self._protocol.recipe, "penultimate")


def sampling_copy_of(generator: Generator, config: RunConfig) -> Generator:
    """A copy of the generator to sample from, with standing statistics."""
    return sampling_copy(generator, config.model.n_classes, config.evaluation.standing_batches, seed=config.seed)


def synthetic_set(sampler: Generator, config: RunConfig, n_frames: int | None = None) -> SyntheticSet:
    """Clips of `sampler`, by default as long as the family's own, at the precision the generator was trained at.

    bf16 takes three fifths of the time of fp32.
    """
    bf16 = config.loop.precision == "bf16"
    return lambda purpose, labels, seed: GeneratedClips(sampler, labels, seed_of(purpose, seed), bf16, n_frames)

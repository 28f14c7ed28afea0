"""The judge of synthetic clips: the real clips of a data set and the classifiers trained on them."""

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor

from vgsearch.experiment.objective import looks_at_distance, parsed
from vgsearch.experiment.score import FeatureScore, S3Score, Score
from vgsearch.runtime.feed.inputs import Inputs
from videogan.classifiers.contract import VideoClassifier
from videogan.classifiers.fit import LabelledClips, features
from videogan.data.clips import DataConfig
from videogan.families.contract import Generator
from videogan.protocols.blind_spots import BlindSpots, Neighbours, blind_spots
from videogan.protocols.classifier import ClassifierProtocol
from videogan.protocols.features import FeatureMetric, FeatureProtocol, FeatureResult, feature_score, kernel_look
from videogan.protocols.s3 import Purpose, S3Protocol, S3Result, SyntheticSet, look, s3_evaluation
from videogan.sampling.sampling import sampling_copy, synthesise
from videogan.seeds import seed_of
from videogan.training.health import SampleCheck
from videogan.training.run_config import RunConfig

OnProgress = Callable[[int, int], None]


class Judge:
    """The real clips of one data set and the classifiers trained on them; clips are read when they are first needed."""

    def __init__(self, inputs: Inputs, data: DataConfig, n_frames: int) -> None:
        self._inputs, self._data, self._n_frames = inputs, data, n_frames
        self._clips: dict[str, LabelledClips] = {}

    def clips(self, split: str) -> LabelledClips:
        """The centre windows of a split."""
        if split not in self._clips:
            self._clips[split] = self._inputs.real_clips(self._data, self._n_frames, split)
        return self._clips[split]

    def score(
        self,
        protocol: S3Protocol | FeatureProtocol,
        synthetic: SyntheticSet,
        on_progress: OnProgress = lambda done, total: None,
    ) -> S3Result | FeatureResult:
        """The score of `synthetic` by a protocol whose real-trained classifiers are in the cache."""
        digest, train, test = protocol.digest(self._inputs.facts), self.clips("train"), self.clips("test")
        if isinstance(protocol, S3Protocol):
            real = self._inputs.real_classifiers(protocol.classifier, protocol.seeds)
            return s3_evaluation(protocol, digest, real, train, test, synthetic, on_progress)
        network = self.network(protocol.classifier, protocol.seed)
        return feature_score(protocol, digest, network, train, test, synthetic, on_progress)

    def blind_spots(self, protocol: ClassifierProtocol, synthetic: SyntheticSet) -> tuple[BlindSpots, Neighbours]:
        """The blind spots of the scores on `synthetic`, by the first real-trained classifier."""
        return blind_spots(protocol, self.network(protocol, 0), self.clips("train"), self.clips("test"), synthetic)

    def network(self, protocol: ClassifierProtocol, seed: int) -> VideoClassifier:
        """A real-trained network, in eval mode."""
        (classifier,) = self._inputs.real_classifiers(protocol, (seed,))
        return classifier.network(protocol)


def objective_scores(
    config: RunConfig, judge: Judge, synthetic: SyntheticSet, on_progress: OnProgress = lambda done, total: None
) -> dict[str, S3Result | FeatureResult]:
    """The scores of a run's objectives: "s3", and each score on features by its name."""
    objectives = parsed(config.evaluation.objective)
    results: dict[str, S3Result | FeatureResult] = {}
    if any(objective.is_part_of_s3 for objective in objectives):
        results["s3"] = judge.score(config.evaluation.s3_protocol, synthetic, on_progress)
    for metric in (objective.name for objective in objectives if objective.is_of_features):
        results[metric] = judge.score(
            config.evaluation.feature_protocol(cast(FeatureMetric, metric)), synthetic, on_progress
        )
    return results


def score_of(results: Mapping[str, S3Result | FeatureResult]) -> Score:
    """The results as the ledger stores them: without values per class, whose number grows with the classes."""
    s3 = next((result for result in results.values() if isinstance(result, S3Result)), None)
    features = {name: FeatureScore.from_json(result.to_json()) for name, result in results.items()
                if isinstance(result, FeatureResult)}  # fmt: skip
    return Score(None if s3 is None else S3Score.from_json(s3.summary()), features)


class Looks:
    """The cheap score of a trial's samples during training, always on the same codes.

    It is ReS, or minus a kernel distance; larger is better.
    """

    def __init__(self, judge: Judge, config: RunConfig) -> None:
        self._protocol = config.evaluation.s3_protocol.classifier
        self._network = judge.network(self._protocol, 0)
        test = judge.clips("test")
        n = min(len(test), config.evaluation.n_look_clips)
        shown = test.subset(torch.linspace(0, len(test) - 1, n).long())
        self._labels, self._seed = shown.labels, config.seed
        # A generator without labels makes no clips of a class: its samples are compared as one class.
        labels = shown.labels if config.n_conditions > 1 else torch.zeros_like(shown.labels)
        self._check = SampleCheck(shown.frames, self._features(shown.frames), labels, config.n_conditions)
        self._real: Tensor | None = None
        if looks_at_distance(parsed(config.evaluation.objective)):
            self._real = self._features(judge.clips("train").frames)

    def __call__(self, synthetic: SyntheticSet) -> tuple[float, dict[str, float]]:
        """The cheap score of new samples, and their vitals."""
        frames = synthetic("look", self._labels, self._seed)
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


def synthetic_set(sampler: Generator, config: RunConfig) -> SyntheticSet:
    """Clips of `sampler` at the precision the generator was trained at; bf16 takes three fifths of the time of fp32."""
    device, bf16 = next(sampler.parameters()).device, config.loop.precision == "bf16"

    def drawn(purpose: Purpose, labels: Tensor, seed: int) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            return synthesise(sampler, labels, seed_of(purpose, seed), config.model.n_frames)

    return drawn

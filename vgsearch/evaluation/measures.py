"""What an evaluation measures: protocols, the classifier of blind spots, an opponent; and the classifiers they need."""

from collections.abc import Sequence
from dataclasses import dataclass

from videogan.config import ConfigurationError
from videogan.protocols.classifier import ClassifierProtocol, WeightsFile
from videogan.protocols.features import FeatureProtocol
from videogan.protocols.initial_weights import with_weights
from videogan.protocols.own_metric import OwnMetric
from videogan.protocols.s3 import S3Protocol
from videogan.protocols.standard_fvd import StandardFVD
from videogan.training.run_config import EvaluationConfig

N_FRAMES = 16
"""Of each clip, in every protocol; standard_fvd can take others."""
N_FAKES = 1000
"""Clips of each generator for gam: "a sufficient number" (TGAN, sec. 6.5)."""


@dataclass(frozen=True)
class Opponent:
    """Model B of the generative adversarial metric: its checkpoint, and the clips that each generator makes."""

    path: str
    n_fakes: int = N_FAKES

    @property
    def name(self) -> str:
        return "gam"


Measure = S3Protocol | FeatureProtocol | StandardFVD | OwnMetric | ClassifierProtocol | Opponent
"""A protocol, the classifier for blind spots, or the opponent of gam."""


def refuse_several_networks(measures: Sequence[Measure]) -> None:
    """Raise ConfigurationError for a weights file unless the measures' classifiers are of one network."""
    kinds = dict.fromkeys(_kind(classifier) for classifier in classifiers_of(measures))
    if not kinds:
        raise ConfigurationError("--classifier-weights: no metric here uses a classifier; leave it out.")
    if len(kinds) > 1:
        raise ConfigurationError(
            f"--classifier-weights fits one network, the metrics take {' and '.join(kinds)}; "
            "name protocols of one classifier in --metrics."
        )


def _kind(classifier: ClassifierProtocol) -> str:
    return f"{classifier.classifier} of width {classifier.width}"


def with_classifier_weights(measure: Measure, weights: WeightsFile) -> Measure:
    """The measure on a classifier with initial weights; the classifier of blind spots is S3's, which is trained."""
    if isinstance(measure, Opponent | StandardFVD | OwnMetric):
        return measure
    if isinstance(measure, ClassifierProtocol):
        return measure.model_copy(update={"weights": weights})
    return with_weights(measure, weights)


def with_own_weights(measures: Sequence[Measure], evaluation: EvaluationConfig) -> tuple[Measure, ...]:
    """The measures with the initial weights that a checkpoint's run was scored with, where they are of its network."""
    if (weights := evaluation.classifier_weights) is None:
        return tuple(measures)
    own = _kind(evaluation.s3_protocol.classifier)
    return tuple(
        with_classifier_weights(measure, weights) if own in map(_kind, classifiers_of([measure])) else measure
        for measure in measures
    )


def classifiers_of(measures: Sequence[Measure]) -> dict[ClassifierProtocol, tuple[int, ...]]:
    """The real-trained classifiers that the measures need, and their seeds."""
    needed: dict[ClassifierProtocol, tuple[int, ...]] = {}
    for measure in measures:
        if isinstance(measure, S3Protocol | FeatureProtocol):
            wanted, seeds = measure.classifier, measure.seeds
        elif isinstance(measure, ClassifierProtocol):
            wanted, seeds = measure, (0,)
        else:
            continue
        needed[wanted] = tuple(dict.fromkeys((*needed.get(wanted, ()), *seeds)))
    return needed

"""A user's file of initial weights: how a sweep keeps it, and its check before anything starts."""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from vgsearch.space.sweep import Sweep
from videogan.protocols.classifier import ClassifierProtocol, WeightsFile, weights_file
from videogan.protocols.features import FeatureMetric, FeatureProtocol
from videogan.protocols.s3 import S3Protocol


def as_override(path: Path) -> dict[str, Any]:
    """The setting of a sweep that names the file and its sha256. Raises ConfigurationError if it cannot be read."""
    return {"evaluation.classifier_weights": weights_file(path).model_dump(mode="json")}


def weights_of(sweep: Sweep) -> WeightsFile | None:
    """The initial weights of a sweep's classifiers."""
    return sweep.run_config(sweep.paper_points[0], 0).evaluation.classifier_weights


def notes_on_weights_of(sweep: Sweep) -> tuple[str, ...]:
    """`notes_on_weights` for the classifiers of all scores of a sweep; none if they start from random weights."""
    evaluation = sweep.run_config(sweep.paper_points[0], 0).evaluation
    if evaluation.classifier_weights is None:
        return ()
    names = [objective.name for objective in sweep.objectives() if objective.is_of_features]
    protocols: list[S3Protocol | FeatureProtocol] = [evaluation.s3_protocol]
    protocols += [evaluation.feature_protocol(cast(FeatureMetric, name)) for name in names]
    return notes_on_weights(dict.fromkeys(protocol.classifier for protocol in protocols), sweep.n_classes)


def notes_on_weights(classifiers: Iterable[ClassifierProtocol], n_classes: int) -> tuple[str, ...]:
    """Load the weights into each classifier, and return the notes that this gives, each once.

    Raises ConfigurationError if the file is missing, has changed, or does not fit.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        for classifier in classifiers:
            classifier.build(n_classes, seed=0)
    return tuple(dict.fromkeys(str(warning.message) for warning in caught if warning.category is UserWarning))

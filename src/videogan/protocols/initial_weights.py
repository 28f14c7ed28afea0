"""Protocols on a classifier with a user's initial weights: other protocols, with other names and digests."""

from typing import TypeVar, cast

from videogan.protocols.classifier import WeightsFile
from videogan.protocols.features import FeatureProtocol
from videogan.protocols.s3 import S3Protocol

Named = TypeVar("Named", bound=S3Protocol | FeatureProtocol)
N_DIGITS = 6
"""Digits of the file's sha256 in a protocol's name: s3_r3d18_v2+abc123."""


def with_weights(protocol: Named, weights: WeightsFile) -> Named:
    """The protocol with initial weights, trained further if its classifier must predict the data set's classes.

    A network that is not trained is the same for every seed, so only the first is kept.
    """
    trained = predicts_classes(protocol)
    classifier = protocol.classifier.model_copy(update={"weights": weights, "trained": trained})
    name = f"{protocol.name}+{weights.sha256[:N_DIGITS]}"
    seeds = protocol.seeds if trained else protocol.seeds[:1]
    copy = protocol.model_copy(update={"classifier": classifier, "name": name, "seeds": seeds})
    return cast(Named, copy)  # mypy forgets that a copy has the type of its original


def predicts_classes(protocol: S3Protocol | FeatureProtocol) -> bool:
    """Whether the classifier must be trained to predict the classes of the data set."""
    return isinstance(protocol, S3Protocol) or protocol.metric == "is"

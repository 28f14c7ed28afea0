"""The protocol that judges a search's trials: a search goes on, and is confirmed, only under its own."""

from typing import cast

from vgsearch.experiment.ledger import SweepRecord
from vgsearch.experiment.paths import Experiment
from vgsearch.space.sweep import Sweep
from videogan.config import ConfigurationError
from videogan.data.manifest import ScoredSplit
from videogan.protocols.classifier import DataFacts, digest_of
from videogan.protocols.features import FeatureMetric


def protocol_digest(sweep: Sweep, facts: DataFacts, split: ScoredSplit) -> str:
    """The digest of the protocols that judge a sweep's trials on a split of its data; of S3 alone, S3's own."""
    evaluation = sweep.run_config(sweep.paper_points[0], 0).evaluation
    digests = [evaluation.s3_protocol.digest(facts, split)]
    for objective in sweep.objectives():
        if objective.is_of_features:
            digests.append(evaluation.feature_protocol(cast(FeatureMetric, objective.name)).digest(facts, split))
    return digests[0] if len(digests) == 1 else digest_of({"protocols": digests})


def refuse_other_protocol(
    experiment: Experiment, sweep: Sweep, facts: DataFacts, record: SweepRecord, split: ScoredSplit
) -> None:
    """Raise ConfigurationError if the trials of a search, judged on `split`, were scored under another protocol."""
    digest = protocol_digest(sweep, facts, split)
    if record.header.get("protocol", digest) != digest:
        raise ConfigurationError(
            f"{experiment.name} was scored under protocol {record.header['protocol'][:6]}, this version scores under "
            f"{digest[:6]}; they are not comparable. Start a new sweep, or resume with the version that started it."
        )

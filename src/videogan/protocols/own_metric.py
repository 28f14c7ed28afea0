"""Metrics in other installed packages: found by the entry point group `vgsearch.metrics`, measured with an interval."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint
from typing import Any, cast

from pydantic import Field
from torch import Tensor

from videogan import plug_ins
from videogan.config import Config, ConfigurationError
from videogan.data.clip_set import ClipSet, all_windows
from videogan.data.manifest import ScoredSplit
from videogan.metrics.contract import Better, Metric, Value, checked_values
from videogan.metrics.seed_interval import seed_interval
from videogan.plug_ins import PlugIns, one_line, package_of
from videogan.protocols import PROTOCOLS, USUAL_CLASSIFIER
from videogan.protocols.classifier import DataFacts, digest_of
from videogan.protocols.features import sample_labels
from videogan.protocols.ladder import clips_of_labels
from videogan.protocols.s3 import RealSide, SyntheticSet, like_real
from videogan.storage.json_values import json_values

RESERVED = (*USUAL_CLASSIFIER, *PROTOCOLS, "blind_spots", "gam", "standard_fvd")
"""The names of our own metrics."""


@dataclass(frozen=True)
class InstalledMetric:
    """A package's metric."""

    function: Metric
    package: str
    """Its name and version, "toy-metrics 1.0"."""


class Metrics(PlugIns[InstalledMetric]):
    """Metrics by name."""

    GROUP, KIND = plug_ins.METRICS, "metric"

    def checked(self, part: object, entry: EntryPoint, about: str) -> InstalledMetric:
        """Raises ConfigurationError for what is no function."""
        if not callable(part):
            raise ConfigurationError(f"{about} must be a function as videogan.metrics.contract.Metric, got {part!r}.")
        version = f" {entry.dist.version}" if entry.dist is not None else ""
        return InstalledMetric(cast(Metric, part), package_of(entry) + version)


METRICS = Metrics({}, RESERVED)


class OwnMetric(Config):
    """The settings of a package's metric: `n_clips` generated clips beside as many real ones, anew for each seed.

    Labels are drawn with the class frequencies of the scored split, and each real clip has the class of its generated
    one.
    """

    name: str
    package: str
    n_clips: int = Field(256, ge=1)
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)

    def digest(self, data: DataFacts, split: ScoredSplit) -> str:
        """sha256 (hex) of the protocol on a split of one data set; its first 6 digits are displayed."""
        return digest_of({"protocol": "own_metric", "split": split} | self.model_dump(mode="json") | data.facts())


def own_metric(name: str) -> OwnMetric:
    """The settings of an installed package's metric. Raises ConfigurationError if this machine lacks it."""
    return OwnMetric(name=name, package=_installed(name, "its package").package)


def _installed(name: str, package: str) -> InstalledMetric:
    if name not in METRICS:
        raise ConfigurationError(
            f"the metric '{name}' is not installed on this machine: install {package} on each node."
        )
    return METRICS[name]


@dataclass(frozen=True)
class OwnResult:
    """One value of a package's metric: its mean over the seeds, and the same of real clips in place of samples."""

    protocol: str
    digest: str
    split: str
    metric: str
    better: Better
    mean: float
    low: float
    """Student's 95 % interval over the seeds, as `high`; NaN for one seed."""
    high: float
    values: list[float]
    """Of each seed."""
    real: float
    real_low: float
    real_high: float
    n_samples: int
    n_repeats: int
    n_real: int
    package: str

    def to_json(self) -> dict[str, Any]:
        """Values for JSON, with null for NaN."""
        return json_values(asdict(self))


def own_scores(
    protocol: OwnMetric,
    digest: str,
    real: RealSide,
    synthesise: SyntheticSet,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[OwnResult]:
    """Each value of the metric, in its own order.

    Raises ConfigurationError, one line that names the package, if the metric is not installed here, raises an
    exception, or returns other values in one call than in another.
    """
    found: list[tuple[dict[str, Value], dict[str, Value]]] = []  # of samples and of real clips
    for number, seed in enumerate(protocol.seeds):
        labels = sample_labels(real.scored, protocol.n_clips, seed)
        samples = like_real(synthesise, real.scored)("samples", labels, seed)
        compared = _pixels(clips_of_labels(real.scored.random(seed), labels, seed))
        others = clips_of_labels(real.held_back.random(seed), labels, seed)
        found.append(
            (
                _measured(protocol, _pixels(samples), compared, labels, seed),
                _measured(protocol, _pixels(others), compared, labels, seed),
            )
        )
        on_progress(number + 1, len(protocol.seeds))
    first = found[0][0]
    kinds = [{name: better for name, (_, better) in values.items()} for pair in found for values in pair]
    if other := next((kind for kind in kinds if kind != kinds[0]), None):
        raise ConfigurationError(
            f"{protocol.package}: its metric '{protocol.name}' must return the same values in each call, got {kinds[0]} "
            f"and {other}."
        )
    return [_result(protocol, digest, real, name, better, found) for name, (_, better) in first.items()]


def _pixels(clips: ClipSet) -> Tensor:
    """uint8 (B, T, 3, H, W)."""
    return all_windows(clips).movedim(-1, 2).contiguous()


def _measured(protocol: OwnMetric, generated: Tensor, real: Tensor, labels: Tensor, seed: int) -> dict[str, Value]:
    metric = _installed(protocol.name, protocol.package)
    try:
        return checked_values(metric.function(generated, real, labels, seed))
    except Exception as error:  # the package's own code
        raise ConfigurationError(
            f"{protocol.package}: its metric '{protocol.name}' failed: {one_line(error)}"
        ) from error


def _result(
    protocol: OwnMetric,
    digest: str,
    real: RealSide,
    name: str,
    better: Better,
    found: list[tuple[dict[str, Value], dict[str, Value]]],
) -> OwnResult:
    values, of_real = ([pair[side][name][0] for pair in found] for side in (0, 1))
    mean, mean_of_real = seed_interval(values), seed_interval(of_real)
    return OwnResult(
        protocol=protocol.name,
        digest=digest,
        split=real.split,
        metric=name,
        better=better,
        mean=mean.mean,
        low=mean.low,
        high=mean.high,
        values=values,
        real=mean_of_real.mean,
        real_low=mean_of_real.low,
        real_high=mean_of_real.high,
        n_samples=protocol.n_clips,
        n_repeats=len(protocol.seeds),
        n_real=len(real.scored),
        package=protocol.package,
    )

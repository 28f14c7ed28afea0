"""The scores of one generator: S3 with its parts, scores on features by name; from JSON and back unchanged.

Imports no torch, so that ledgers are read without it.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, get_type_hints

from videogan.metrics import ACCURACIES, SCORES_OF_S3
from videogan.metrics.interval import Interval
from videogan.storage.json_values import fits, json_values

DIGITS_OF_DIGEST = 6
"""Number of leading hex digits of a digest that are printed."""


class _Measured:
    """The fields that S3 and the scores on features share; a field that the JSON lacks is None."""

    protocol: str | None
    digest: str | None
    warnings: Sequence[str] | None

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """The scores in a JSON object (hence Any); null becomes NaN, fields of other versions are left out."""
        return cls(**_typed_fields(cls, written))

    def to_json(self) -> dict[str, Any]:
        """JSON that `from_json` reads; NaN becomes null."""
        fields = [(each.name, getattr(self, each.name)) for each in dataclasses.fields(self)]  # type: ignore[arg-type]
        return {name: json_values(value) for name, value in fields if value is not None}

    @property
    def named_protocol(self) -> str:
        """Protocol and the start of its digest, "s3_r3d18_smoke_v2 159990"; empty if the ledger names none."""
        return "" if self.protocol is None else f"{self.protocol} {(self.digest or '')[:DIGITS_OF_DIGEST]}"


@dataclass(frozen=True, kw_only=True)
class S3Score(_Measured):
    """S3 and the accuracies it is made of, as `videogan.protocols.s3.S3Result` writes them."""

    protocol: str | None = None
    digest: str | None = None
    split: str | None = None
    s3: Interval
    ser: Interval | None = None
    res: Interval | None = None
    rer: Interval | None = None
    s3_chance_corrected: Interval | None = None
    covers: str | None = None
    """What the intervals cover."""
    s3_of_guessing: float | None = None
    bootstrap: Mapping[str, Interval] | None = None
    over_seeds: Mapping[str, Interval] | None = None
    per_seed: Mapping[str, Sequence[float]] | None = None
    seeds: Sequence[int] | None = None
    n_classes: int | None = None
    n_train: int | None = None
    n_test: int | None = None
    n_groups: int | None = None
    n_windows: int | None = None
    n_samples: int | None = None
    warnings: Sequence[str] | None = None
    confusion: Mapping[str, Sequence[Sequence[int]]] | None = None
    """Only in scores.json, like `per_class`: both grow with the number of classes."""
    per_class: Mapping[str, Sequence[float]] | None = None

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """As `_Measured.from_json`; bounds of accuracies that an older ledger has beyond 0 and 1 are 0 and 1."""
        fields = _typed_fields(cls, written)
        return cls(**fields | {name: _within(fields[name]) for name in ACCURACIES if fields.get(name) is not None})


def _within(accuracy: Interval) -> Interval:
    low, high = accuracy.low, accuracy.high
    return Interval(accuracy.mean, 0.0 if low < 0 else low, 1.0 if high > 1 else high)


@dataclass(frozen=True, kw_only=True)
class FeatureScore(_Measured):
    """A score on features, as `videogan.protocols.features.FeatureResult` writes it, or of a package's metric."""

    protocol: str | None = None
    digest: str | None = None
    split: str | None = None
    metric: str | None = None
    better: str | None = None
    """Of a package's metric: "higher" or "lower"."""
    mean: float
    low: float | None = None
    """The 95 % interval over classifier seeds, or over training seeds of a point with several, as `high`."""
    high: float | None = None
    spread: float | None = None
    values: Sequence[float] | None = None
    per_seed: Sequence[float] | None = None
    real: float | None = None
    real_low: float | None = None
    real_high: float | None = None
    outside: float | None = None
    n_samples: int | None = None
    n_repeats: int | None = None
    n_real: int | None = None
    n_real_train: int | None = None
    n_real_test: int | None = None
    n_features: int | None = None
    warnings: Sequence[str] | None = None

    @property
    def interval(self) -> Interval:
        return _interval(self.mean, self.low, self.high)

    @property
    def of_real(self) -> Interval:
        """The same score of real clips in place of samples."""
        return _interval(self.real, self.real_low, self.real_high)

    def shares_of(self, other: "FeatureScore") -> list[float]:
        """This distance divided by another generator's, by classifier; empty unless the same classifiers measured both.

        Each classifier has a unit of its own: three that were trained alike measure 1.4, 1.9 and 7.5 for one untrained
        generator (reports/search-2026-11-30). Their shares have none.
        """
        ours, theirs = self.per_seed or [], other.per_seed or []
        is_shared = self.protocol == other.protocol and len(ours) == len(theirs) and min(theirs, default=0) > 0
        return [one / another for one, another in zip(ours, theirs, strict=True)] if is_shared else []

    @property
    def covers(self) -> str:
        """What the interval of one generator's score covers."""
        if self.better is not None and self.values is not None:
            return f"{len(self.values)} draws of {self.n_samples} samples"
        return f"{len(self.per_seed)} classifier seeds" if self.per_seed else ""


@dataclass(frozen=True, kw_only=True)
class CopyShare:
    """The share of samples that copy a training window, as `videogan.protocols.copies.Copies` writes it."""

    share: float
    limit: float
    distance: float = math.nan
    real_distance: float = math.nan
    threshold: float = math.nan
    n_samples: int = 0
    n_real: int = 0
    split: str = ""
    features: float = math.nan

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "CopyShare":
        """Any: JSON; null becomes NaN, fields of other versions are left out."""
        return cls(**_typed_fields(cls, written))

    def to_json(self) -> dict[str, Any]:
        return {each.name: json_values(getattr(self, each.name)) for each in dataclasses.fields(self)}

    @property
    def flagged(self) -> bool:
        """Whether the generator is said to copy."""
        return self.share > self.limit


PARTS_OF_S3 = (*SCORES_OF_S3, "rer")
_OTHER_FIELDS = {each.name for each in dataclasses.fields(S3Score)} | {"over_training_seeds", "copies"}


@dataclass(frozen=True)
class Score:
    """All scores of one generator; empty before it is scored."""

    s3: S3Score | None = None
    features: Mapping[str, FeatureScore] = field(default_factory=dict)
    """Scores on features by the names of their metrics."""
    over_training_seeds: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Each score by training seed, in order, of a point that was trained with several; its means are the scores."""
    copies: CopyShare | None = None
    """None if it was not measured, as in ledgers of earlier versions."""

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "Score":
        """The score in an event of the ledger or in status.json; any: JSON."""
        features = {name: FeatureScore.from_json(part) for name, part in written.items()
                    if name not in _OTHER_FIELDS and isinstance(part, Mapping) and "mean" in part}  # fmt: skip
        if not fits(written.get("over_training_seeds", {}), Mapping[str, Sequence[float]]):
            raise ValueError(f"the score's over_training_seeds is damaged, got {written['over_training_seeds']!r:.80}")
        s3 = S3Score.from_json(written) if "s3" in written else None
        copies = CopyShare.from_json(written["copies"]) if written.get("copies") else None
        return cls(s3, features, written.get("over_training_seeds", {}), copies)

    def to_json(self) -> dict[str, Any]:
        """S3's fields, then each score on features under its name."""
        written = {} if self.s3 is None else self.s3.to_json()
        written |= {name: part.to_json() for name, part in self.features.items()}
        written |= {} if self.copies is None else {"copies": self.copies.to_json()}
        return written | ({"over_training_seeds": dict(self.over_training_seeds)} if self.over_training_seeds else {})

    @property
    def parts(self) -> Iterator[S3Score | FeatureScore]:
        """The scores, one per protocol: S3, then the scores on features."""
        if self.s3 is not None:
            yield self.s3
        yield from self.features.values()

    @property
    def warnings(self) -> list[str]:
        return [warning for part in self.parts for warning in part.warnings or ()]

    def interval(self, name: str) -> Interval | None:
        """The mean of a score by its name, NaN if it is undefined; None if it was not measured."""
        if name in self.features:
            return self.features[name].interval
        return getattr(self.s3, name) if self.s3 is not None and name in PARTS_OF_S3 else None

    @property
    def means(self) -> dict[str, float]:
        """The scores that have a value, by name."""
        intervals = {name: self.interval(name) for name in (*_PARTS_IN_ORDER, *self.features)}
        return {name: part.mean for name, part in intervals.items() if part is not None and math.isfinite(part.mean)}

    def over_seeds(self, intervals: Mapping[str, Interval], values: Mapping[str, Sequence[float]]) -> "Score":
        """This score with the intervals over training seeds in place of its own, and the values by seed."""
        s3 = self.s3
        if s3 is not None:
            replaced: dict[str, Any] = {name: part for name, part in intervals.items() if name in PARTS_OF_S3}
            n_seeds = max(map(len, values.values()), default=0)
            # Any: fields by name
            s3 = dataclasses.replace(s3, covers=f"{n_seeds} training seeds", **replaced)
        features = {name: dataclasses.replace(part, **intervals[name]._asdict()) if name in intervals else part
                    for name, part in self.features.items()}  # fmt: skip
        return dataclasses.replace(self, s3=s3, features=features, over_training_seeds=values)


_PARTS_IN_ORDER = [each.name for each in dataclasses.fields(S3Score) if each.name in PARTS_OF_S3]


@dataclass(frozen=True)
class Floor:
    """The score of an untrained generator of the paper's point, or why it could not be measured."""

    score: Score = field(default_factory=Score)
    reason: str = ""

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "Floor":
        """Any: JSON."""
        return cls(Score.from_json(written), written.get("reason", ""))

    def to_json(self) -> dict[str, Any]:
        return {"reason": self.reason} if self.reason else self.score.to_json()


def _interval(*parts: float | None) -> Interval:
    return Interval(*(math.nan if part is None else part for part in parts))


def _typed_fields(cls: Any, written: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass that JSON holds; raises ValueError, which names it, for one of another type."""
    kinds = {name: kind for name, kind in get_type_hints(cls).items() if name in written}
    fields = {name: _typed(written[name]) for name in kinds}
    for name, kind in kinds.items():
        if written[name] is None and not fits(fields[name], kind):
            fields[name] = None
        if not fits(fields[name], kind):
            raise ValueError(f"the score's {name} is damaged, got {written[name]!r:.80}")
    return fields


def _typed(value: Any) -> Any:
    """The inverse of `json_values`; any: JSON."""
    if value is None:
        return math.nan
    if isinstance(value, Mapping):
        if "mean" in value:
            parts = [_typed(value.get(name)) for name in Interval._fields]
            if not fits(parts, Sequence[float]):
                raise ValueError(f"the interval of a score must be three numbers, got {value!r:.80}")
            return Interval(*parts)
        return {name: _typed(part) for name, part in value.items()}
    return [_typed(part) for part in value] if isinstance(value, list) else value

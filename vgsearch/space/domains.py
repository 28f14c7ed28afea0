"""What a search space searches: typed domains over the paths of a run's configuration, and points drawn from them."""

import itertools
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from vgsearch.space.inequality import Inequality
from videogan.config import Config, ConfigurationError

N_DRAWN_POINTS, LEAST_KEPT = 1000, 10
"""Of so many points drawn at random so many must keep the constraints, or a search would draw in vain."""


class FloatDomain(Config):
    """A real interval, both ends included, and where `or_off` is given that value beside it, such as 0 on a log scale."""

    model_config = ConfigDict(allow_inf_nan=False)

    type: Literal["float"]
    low: float
    high: float
    log: bool = False
    or_off: float | None = Field(
        None, description="a value that turns off what the interval weighs; searched as a choice"
    )
    steps: int | None = Field(None, ge=2, description="how many values a grid has of it, both ends among them")
    when: dict[str, Any] = Field({}, description="values of other domains without which this is not searched")

    @model_validator(mode="after")
    def _ordered(self) -> "FloatDomain":
        if self.or_off is not None and self.low <= self.or_off <= self.high:
            raise ValueError(f"or_off must lie outside [{self.low}, {self.high}], got {self.or_off}.")
        return _checked_interval(self)

    @property
    def ends(self) -> list[Any]:
        return [*self._off, self.low, self.high]

    @property
    def grid(self) -> list[float] | None:
        """`steps` values at equal distances, on a log scale at equal ratios; None where it has no steps."""
        if self.steps is None:
            return None
        inner = [self._at(k / (self.steps - 1)) for k in range(1, self.steps - 1)]
        return [*self._off, self.low, *inner, self.high]

    def drawn(self, rng: random.Random) -> float:
        """A value at random, off or on with equal chance where it can be off."""
        return rng.choice([*self._off, self._at(rng.random())])

    @property
    def _off(self) -> list[float]:
        return [] if self.or_off is None else [self.or_off]

    def _at(self, share: float) -> float:
        if self.log:
            return self.low * (self.high / self.low) ** share
        return self.low + share * (self.high - self.low)

    @property
    def is_of_numbers(self) -> bool:
        return True

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, int | float) and (self.low <= value <= self.high or value == self.or_off)


class IntDomain(Config):
    """The integers from `low` to `high`, both ends included."""

    type: Literal["int"]
    low: int
    high: int
    log: bool = False
    when: dict[str, Any] = Field({}, description="values of other domains without which this is not searched")

    @model_validator(mode="after")
    def _ordered(self) -> "IntDomain":
        return _checked_interval(self)

    @property
    def ends(self) -> list[Any]:
        return [self.low, self.high]

    @property
    def grid(self) -> list[int]:
        return list(range(self.low, self.high + 1))

    def drawn(self, rng: random.Random) -> int:
        if self.log:
            return round(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))
        return rng.randint(self.low, self.high)

    @property
    def is_of_numbers(self) -> bool:
        return True

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, int) and self.low <= value <= self.high


class ChoiceDomain(Config):
    """A few values without order."""

    type: Literal["choice"]
    choices: list[Any] = Field(min_length=2)
    when: dict[str, Any] = Field({}, description="values of other domains without which this is not searched")

    @property
    def ends(self) -> list[Any]:
        return self.choices

    @property
    def grid(self) -> list[Any]:
        return self.choices

    def drawn(self, rng: random.Random) -> Any:
        return rng.choice(self.choices)

    @property
    def is_of_numbers(self) -> bool:
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.choices)

    def __contains__(self, value: Any) -> bool:
        return value in self.choices


Domain = Annotated[FloatDomain | IntDomain | ChoiceDomain, Field(discriminator="type")]


@dataclass(frozen=True)
class Searched:
    """What proposals are drawn from: domains, the values fixed beside them, and what must hold between them."""

    domains: Mapping[str, Domain]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    inequalities: Sequence[Inequality] = ()

    @property
    def told(self) -> str:
        """The inequalities, as they are written."""
        return " and ".join(map(str, self.inequalities))

    @property
    def in_order(self) -> list[tuple[str, Domain]]:
        """Conditional domains after what they depend on."""
        return sorted(self.domains.items(), key=lambda item: bool(item[1].when))

    def is_active(self, path: str, chosen: Mapping[str, Any]) -> bool:
        """Whether a domain is searched, given the values chosen before it."""
        return is_active(self.domains[path], {**self.fixed, **chosen})

    def broken_by(self, chosen: Mapping[str, Any]) -> list[Inequality]:
        """The inequalities that `chosen` does not keep."""
        return [inequality for inequality in self.inequalities if not inequality.holds({**self.fixed, **chosen})]

    def drawn(self, rng: random.Random) -> dict[str, Any]:
        """A point at random, whatever the inequalities say."""
        chosen: dict[str, Any] = {}
        for path, domain in self.in_order:
            if self.is_active(path, chosen):
                chosen[path] = domain.drawn(rng)
        return chosen

    def refuse_unsatisfiable(self) -> None:
        """Raises ConfigurationError where (almost) no point keeps the inequalities."""
        if not self.inequalities:
            return
        rng = random.Random(0)
        broken = [self.broken_by(self.drawn(rng)) for _ in range(N_DRAWN_POINTS)]
        kept = sum(not inequalities for inequalities in broken)
        if kept < LEAST_KEPT:
            worst, _ = Counter(itertools.chain(*broken)).most_common(1)[0]
            raise ConfigurationError(
                f"constraints: of {N_DRAWN_POINTS} points drawn at random {kept} keep them all; {worst} is broken most. "
                "Widen the domains it names, or remove it."
            )


def is_active(domain: Domain, chosen: Mapping[str, Any]) -> bool:
    """Whether a conditional domain is searched, given the values chosen before it."""
    return all(chosen.get(path) == value for path, value in domain.when.items())


def _checked_interval(domain: Any) -> Any:
    if not domain.low < domain.high:
        raise ValueError(f"low must be below high, got {domain.low} and {domain.high}.")
    if domain.log and domain.low <= 0:
        raise ValueError(f"low must be above 0 on a log scale, got {domain.low}.")
    return domain

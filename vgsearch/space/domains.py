"""Typed domains over the paths of a run's configuration, and random points from them."""

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from vgsearch.space.inequality import Inequality
from videogan.config import Config, ConfigurationError

N_DRAWN_POINTS, LEAST_KEPT = 1000, 10
"""How many random points test the constraints, and how many of them must satisfy all constraints."""


def is_number(value: Any) -> bool:
    """Whether a value is a number; a boolean is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


class FloatDomain(Config):
    """A real interval, both ends included, and the single value `or_off` if given, such as 0 beside a log scale."""

    type: Literal["float"]
    low: float
    high: float
    log: bool = False
    or_off: float | None = Field(
        None, description="a value outside the interval that turns the setting off; tried as often as the interval"
    )
    steps: int | None = Field(None, ge=2, description="number of values in a grid, including both ends")
    when: dict[str, Any] = Field({}, description="values that other domains must have for this domain to be searched")

    @model_validator(mode="after")
    def _ordered(self) -> "FloatDomain":
        if self.or_off is not None and self.low <= self.or_off <= self.high:
            raise ValueError(f"or_off must be outside [{self.low}, {self.high}], got {self.or_off}.")
        _refuse_bad_interval(self.low, self.high, self.log)
        return self

    @property
    def ends(self) -> list[Any]:
        return [*self._off, self.low, self.high]

    @property
    def grid(self) -> list[float] | None:
        """`steps` values at equal distances, or equal ratios on a log scale; None without `steps`."""
        if self.steps is None:
            return None
        inner = [self._at(k / (self.steps - 1)) for k in range(1, self.steps - 1)]
        return [*self._off, self.low, *inner, self.high]

    def draw(self, rng: random.Random) -> float:
        """Return a random value; half of the draws are `or_off` if it is given."""
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
        return is_number(value) and (self.low <= value <= self.high or value == self.or_off)


class IntDomain(Config):
    """All integers from `low` to `high`, both ends included; only some of them are a choice."""

    type: Literal["int"]
    low: int
    high: int
    log: bool = False
    when: dict[str, Any] = Field({}, description="values that other domains must have for this domain to be searched")

    @model_validator(mode="before")
    @classmethod
    def _without_step(cls, written: Any) -> Any:
        if isinstance(written, Mapping) and "step" in written:
            raise ValueError(
                "an int has no step: all integers from low to high are searched. For some of them, write "
                "{type: choice, choices: [2, 4, 8]}."
            )
        return written

    @model_validator(mode="after")
    def _ordered(self) -> "IntDomain":
        _refuse_bad_interval(self.low, self.high, self.log)
        return self

    @property
    def ends(self) -> list[Any]:
        return [self.low, self.high]

    @property
    def grid(self) -> list[int]:
        return list(range(self.low, self.high + 1))

    def draw(self, rng: random.Random) -> int:
        if self.log:
            return round(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))
        return rng.randint(self.low, self.high)

    @property
    def is_of_numbers(self) -> bool:
        return True

    def __contains__(self, value: Any) -> bool:
        return is_number(value) and isinstance(value, int) and self.low <= value <= self.high


class ChoiceDomain(Config):
    """A few values in no order."""

    type: Literal["choice"]
    choices: list[Any] = Field(min_length=2)
    when: dict[str, Any] = Field({}, description="values that other domains must have for this domain to be searched")

    @field_validator("choices")
    @classmethod
    def _different(cls, choices: list[Any]) -> list[Any]:
        twice = [value for index, value in enumerate(choices) if value in choices[:index]]
        if twice:
            raise ValueError(
                f"each choice must occur once, got {twice[0]!r} again; remove one (1, 1.0 and true are equal)."
            )
        if any(isinstance(value, bool) for value in choices) and any(map(is_number, choices)):
            raise ValueError(f"true and false are no numbers, got {choices}; search numbers or booleans.")
        return choices

    @property
    def ends(self) -> list[Any]:
        return self.choices

    @property
    def grid(self) -> list[Any]:
        return self.choices

    def draw(self, rng: random.Random) -> Any:
        return rng.choice(self.choices)

    @property
    def is_of_numbers(self) -> bool:
        return all(map(is_number, self.choices))

    def __contains__(self, value: Any) -> bool:
        return value in self.choices


Domain = Annotated[FloatDomain | IntDomain | ChoiceDomain, Field(discriminator="type")]


@dataclass(frozen=True)
class Searched:
    """The domains that proposals come from, the values fixed beside them, and the inequalities between them."""

    domains: Mapping[str, Domain]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    inequalities: Sequence[Inequality] = ()

    @property
    def constraints(self) -> str:
        """The inequalities in one line, for messages."""
        return " and ".join(map(str, self.inequalities))

    @property
    def in_order(self) -> list[tuple[str, Domain]]:
        """The domains, each after those it depends on."""
        return sorted(self.domains.items(), key=lambda item: bool(item[1].when))

    def is_active(self, path: str, chosen: Mapping[str, Any]) -> bool:
        """Whether a domain is searched, given the values chosen before it."""
        return is_active(self.domains[path], {**self.fixed, **chosen})

    def broken_by(self, chosen: Mapping[str, Any]) -> list[Inequality]:
        """The inequalities that `chosen` violates."""
        return [inequality for inequality in self.inequalities if not inequality.holds({**self.fixed, **chosen})]

    def draw(self, rng: random.Random) -> dict[str, Any]:
        """Return a random point, which may violate the inequalities."""
        chosen: dict[str, Any] = {}
        for path, domain in self.in_order:
            if self.is_active(path, chosen):
                chosen[path] = domain.draw(rng)
        return chosen

    def refuse_unsatisfiable(self) -> None:
        """Raise ConfigurationError if fewer than 1 % of random points satisfy the inequalities."""
        if not self.inequalities:
            return
        rng, kept, violated = random.Random(0), 0, Counter[Inequality]()
        for _ in range(N_DRAWN_POINTS):
            broken = self.broken_by(self.draw(rng))
            violated.update(broken)
            kept += not broken
            if kept == LEAST_KEPT:  # every command that reads a space comes here: most need a few dozen points
                return
        worst, _ = violated.most_common(1)[0]
        raise ConfigurationError(
            f"constraints: at least {LEAST_KEPT} of {N_DRAWN_POINTS} random points must satisfy all of them, "
            f"{kept} do; {worst} is violated most often. Widen its domains, or remove it."
        )


def is_active(domain: Domain, chosen: Mapping[str, Any]) -> bool:
    """Whether a conditional domain is searched, given the values chosen before it."""
    return all(chosen.get(path) == value for path, value in domain.when.items())


def _refuse_bad_interval(low: float, high: float, log: bool) -> None:
    if not low < high:
        raise ValueError(f"low must be below high, got {low} and {high}.")
    if log and low <= 0:
        raise ValueError(f"low must be above 0 on a log scale, got {low}.")

"""Search spaces: one YAML file each, read into typed domains over the paths of a run's configuration."""

import itertools
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field, model_validator

from videogan.config import Config, ConfigurationError, parse_config, suggestion, with_overrides

BUDGETS = ("smoke", "laptop", "paper")
_OF_REAL_CLIPS = ("model.resolution", "data", "data.preprocessing", "data.every_nth", "data.short_clips")
"""Settings that change the real clips by which all trials of a sweep are judged."""


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
    when: dict[str, Any] = Field({}, description="values of other domains without which this is not searched")

    @model_validator(mode="after")
    def _ordered(self) -> "FloatDomain":
        if self.or_off is not None and self.low <= self.or_off <= self.high:
            raise ValueError(f"or_off must lie outside [{self.low}, {self.high}], got {self.or_off}.")
        return _checked_interval(self)

    @property
    def ends(self) -> list[Any]:
        return [*([] if self.or_off is None else [self.or_off]), self.low, self.high]

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

    def __contains__(self, value: Any) -> bool:
        return value in self.choices


Domain = Annotated[FloatDomain | IntDomain | ChoiceDomain, Field(discriminator="type")]


class Pruning(Config):
    """When a trial with poor looks is stopped: Optuna's pruner on smoothed looks, after `warm_up` steps."""

    pruner: Literal["median", "successive_halving", "none"] = "median"
    warm_up: int = Field(0, ge=0, description="steps before which no trial is pruned")
    n_startup_trials: int = Field(4, ge=1, description="finished trials before the median counts")
    smoothing: int = Field(2, ge=1, description="looks in the running mean")
    patience: int = Field(0, ge=0, description="looks without improvement before a trial may be pruned")


class Budget(Config):
    """How much a sweep may spend: the number of trials and the overrides that scale each of them."""

    purpose: str
    n_trials: int = Field(ge=1)
    n_startup_trials: int = Field(10, ge=1, description="trials drawn at random before TPE models the rest")
    pruning: Pruning = Pruning()
    overrides: dict[str, Any] = Field({}, description="by dotted path of the run's configuration")


class Space(Config):
    """One search: where it starts (`base`), what varies (`domains`), what the paper chose, and what it may cost."""

    name: str
    title: str
    paper: str
    base: dict[str, Any]
    domains: dict[str, Domain] = Field(min_length=1)
    paper_points: list[dict[str, Any]] = Field(min_length=1)
    point_names: list[str] = Field([], description="of the paper_points where there are several, in their order")
    budgets: dict[Literal[BUDGETS], Budget]

    @model_validator(mode="after")
    def _consistent(self) -> "Space":
        problems = [problem for point in self.paper_points for problem in self._problems_of(point)]
        problems += [problem for path in self.domains for problem in self._problems_of_condition(path)]
        problems += [
            f"domains: {path} can't be searched: scores compare only under one evaluation. Set it in base, or with --set."
            for path in self.domains
            if path.split(".")[0] == "evaluation"
        ]
        problems += [
            f"domains: {path} can't be searched: scores compare only on the same real clips, of one size and frame rate. "
            "Set it in base, or with --set."
            for path in self.domains
            if path in _OF_REAL_CLIPS
        ]
        names, n_points = self.point_names, len(self.paper_points)
        if names and (len(names) != n_points or len(set(names)) != n_points):
            problems.append(f"point_names: each of the {n_points} paper_points needs a name of its own, got {names}.")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def at_point(self, name: str) -> "Space":
        """This space with one of its paper points alone; raises ConfigurationError for a name it does not have."""
        if name not in self.point_names:
            known = (
                suggestion(name, self.point_names) if self.point_names else ": it has the paper's alone; leave it out."
            )
            raise ConfigurationError(f"--point: {self.name} has no point '{name}'{known}")
        return self.model_copy(
            update={"paper_points": [self.paper_points[self.point_names.index(name)]], "point_names": [name]}
        )

    def _problems_of(self, point: Mapping[str, Any]) -> list[str]:
        unknown = [
            f"paper_points: '{path}' is no domain{suggestion(path, list(self.domains))}"
            for path in point
            if path not in self.domains
        ]
        active = [path for path, domain in self.domains.items() if is_active(domain, point)]
        missing = [f"paper_points: {path} has no value." for path in active if path not in point]
        outside = [
            f"paper_points: {path} must lie in its domain {self.domains[path].ends}, got {point[path]!r}."
            for path in active
            if path in point and point[path] not in self.domains[path]
        ]
        return unknown + missing + outside

    def _problems_of_condition(self, path: str) -> list[str]:
        above = list(itertools.takewhile(lambda other: other != path, self.domains))
        conditions = self.domains[path].when
        unlisted = [
            f"domains: {path} waits for {name}: list {name} above it." for name in conditions if name not in above
        ]
        never = [
            f"domains: {path} waits for {name} = {value!r}, which is not in the domain {self.domains[name].ends}."
            for name, value in conditions.items()
            if name in above and value not in self.domains[name]
        ]
        return unlisted + never

    def run_values(self, budget: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """The nested configuration of a run: base, then the budget's overrides, then `overrides` by dotted path."""
        return with_overrides(with_overrides(self.base, self.budgets[budget].overrides), overrides)


def is_active(domain: Domain, chosen: Mapping[str, Any]) -> bool:
    """Whether a conditional domain is searched, given the values chosen before it."""
    return all(chosen.get(path) == value for path, value in domain.when.items())


def shipped_spaces() -> dict[str, Any]:
    """Name to file of every search space in the wheel; the one place that knows where they lie."""
    files = resources.files("vgsearch.search_spaces").iterdir()
    spaces = sorted((file for file in files if file.name.endswith(".yaml")), key=lambda file: file.name)
    return {file.name.removesuffix(".yaml"): file for file in spaces}


def load_space(name_or_path: str) -> Space:
    """A shipped space by name, or any YAML file by path; raises ConfigurationError with the names that exist."""
    shipped = shipped_spaces()
    if name_or_path in shipped:
        return parse_space(shipped[name_or_path].read_text(), f"{name_or_path}.yaml")
    path = Path(name_or_path)
    if not path.is_file():
        raise ConfigurationError(
            f"no search space '{name_or_path}': there are {', '.join(shipped)}; or give the path of a YAML file."
        )
    return parse_space(path.read_text(), str(path))


def source_of(name_or_path: str) -> str:
    """What `load_space` reads for this, from wherever it is called: a shipped name, or an absolute path."""
    return name_or_path if name_or_path in shipped_spaces() else str(Path(name_or_path).absolute())


def parse_space(text: str, source: str) -> Space:
    """A search space from YAML text; `source` names it in errors."""
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{source}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigurationError(f"{source}: expected a mapping with name, base, domains, paper_points, budgets.")
    return parse_config(Space, values, source)


def parse_override(text: str) -> tuple[str, Any]:
    """'model.sigma_a=0.3' as a dotted path and a YAML value."""
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise ConfigurationError(f"--set {text}: expected path=value, such as model.sigma_a=0.3.")
    try:
        return path.strip(), yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigurationError(f"--set {text}: {value!r} is no YAML value.") from None


def _checked_interval(domain: Any) -> Any:
    if not domain.low < domain.high:
        raise ValueError(f"low must be below high, got {domain.low} and {domain.high}.")
    if domain.log and domain.low <= 0:
        raise ValueError(f"low must be above 0 on a log scale, got {domain.low}.")
    return domain

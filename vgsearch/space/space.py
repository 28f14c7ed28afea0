"""Search spaces: one YAML file each, read into typed domains over the paths of a run's configuration."""

import itertools
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, model_validator

from vgsearch.space.domains import Domain, Searched, is_active
from vgsearch.space.inequality import Inequality
from videogan.config import Config, ConfigurationError, parse_config, suggestion, with_overrides

BUDGETS = ("smoke", "laptop", "paper")
_OF_REAL_CLIPS = ("model.resolution", "data", "data.preprocessing", "data.every_nth", "data.short_clips")
"""Settings that change the real clips by which all trials of a sweep are judged."""


def _refuse_idle(config: Config, kind: str, names: Sequence[str]) -> None:
    """Raises where a setting that does nothing under the chosen `kind` is not at its default."""
    changed = [name for name in names if getattr(config, name) != type(config).model_fields[name].default]
    if changed:
        told = [
            f"{name} = {getattr(config, name)} has no effect under {kind} = {getattr(config, kind)}. Remove it."
            for name in changed
        ]
        raise ValueError("\n".join(told))


class Pruning(Config):
    """When a trial with poor looks is stopped: Optuna's pruner on smoothed looks, after `warm_up` steps."""

    pruner: Literal["median", "successive_halving", "none"] = "median"
    warm_up: int = Field(0, ge=0, description="steps before which no trial is pruned")
    n_startup_trials: int = Field(4, ge=1, description="finished trials before the median counts")
    smoothing: int = Field(2, ge=1, description="looks in the running mean")
    patience: int = Field(0, ge=0, description="looks without improvement before a trial may be pruned")

    @model_validator(mode="after")
    def _with_effect(self) -> "Pruning":
        idle = {"none": ("warm_up", "n_startup_trials", "smoothing", "patience"), "median": ()}
        _refuse_idle(self, "pruner", idle.get(self.pruner, ("n_startup_trials",)))
        return self


class Population(Config):
    """Population based training: which trials are given up, and how those after them differ from the ones they go on from."""

    size: int = Field(4, ge=2, description="trials side by side")
    every: int = Field(100, ge=1, description="steps after which the looks of all are compared")
    quantile: float = Field(0.25, gt=0, le=0.5, description="share that is given up, and that is gone on from")
    factor: float = Field(1.25, gt=1, description="by which a value is multiplied or divided")
    resample: float = Field(0.25, ge=0, le=1, description="chance that a value is drawn anew instead")


class Budget(Config):
    """How much a sweep may spend: the number of trials and the overrides that scale each of them."""

    purpose: str
    n_trials: int = Field(ge=1)
    sampler: Literal["tpe", "random", "grid", "gp", "pbt"] = "tpe"
    n_startup_trials: int = Field(10, ge=1, description="trials drawn at random before tpe or gp models the rest")
    pruning: Pruning = Pruning()
    pbt: Population = Population()
    overrides: dict[str, Any] = Field({}, description="by dotted path of the run's configuration")

    @model_validator(mode="after")
    def _with_effect(self) -> "Budget":
        idle = [] if self.sampler == "pbt" else ["pbt"]
        if self.sampler in ("random", "grid", "pbt"):
            idle.append("n_startup_trials")
        _refuse_idle(self, "sampler", idle)
        if self.sampler == "pbt" and self.pruning.model_copy(update={"smoothing": 2}) != Pruning():
            raise ValueError(
                "pruning: under sampler = pbt only smoothing has an effect: pbt tells who is given up. Remove the rest."
            )
        return self


class Space(Config):
    """One search: where it starts (`base`), what varies (`domains`), what the paper chose, and what it may cost."""

    name: str
    title: str
    paper: str
    base: dict[str, Any]
    domains: dict[str, Domain] = Field(min_length=1)
    constraints: list[str] = Field([], description='between domains: "model.sigma_a <= model.sigma_b"')
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
        problems += self._problems_of_steps()
        problems += [problem for written in self.constraints for problem in self._problems_of_constraint(written)]
        if problems:
            raise ValueError("\n".join(problems))
        Searched(self.domains, {}, self.inequalities).refuse_unsatisfiable()
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

    @property
    def inequalities(self) -> tuple[Inequality, ...]:
        return tuple(map(Inequality.parse, self.constraints))

    def _problems_of_steps(self) -> list[str]:
        stepped = [path for path, domain in self.domains.items() if getattr(domain, "steps", None) is not None]
        if any(budget.sampler == "grid" for budget in self.budgets.values()):
            return []
        return [
            f"domains: steps of {path} have no effect: no budget has the sampler grid. Remove them." for path in stepped
        ]

    def _problems_of_constraint(self, written: str) -> list[str]:
        try:
            inequality = Inequality.parse(written)
        except ConfigurationError as error:
            return [str(error)]
        unknown = [path for path in inequality.paths if path not in self.domains]
        if unknown:
            return [f"constraints: '{path}' is no domain{suggestion(path, list(self.domains))}" for path in unknown]
        nameless = [path for path in inequality.paths if not self.domains[path].is_of_numbers]
        if nameless:
            return [f"constraints: {path} has no order: {written} needs numbers." for path in nameless]
        return [
            f"paper_points: the paper's point must keep {inequality}, got "
            f"{point[inequality.smaller]!r} and {point[inequality.larger]!r}."
            for point in self.paper_points
            if not inequality.holds(point)
        ]

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

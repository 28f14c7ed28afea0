"""Budgets: how much a sweep may spend. budgets.yaml holds those that search spaces share."""

from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from vgsearch.space.domains import Domain
from vgsearch.space.yaml_text import read_yaml
from videogan.config import Config, ConfigurationError, flattened, suggestion

_SHARED = read_yaml(resources.files("vgsearch.space").joinpath("budgets.yaml").read_text("utf-8"), "budgets.yaml")
BUDGETS = tuple(_SHARED["budgets"])
"""The names a budget may have."""
SCALED = "scaled"
"""Key under a space's `budgets:` that includes the shared budgets; its value is a network of budgets.yaml, by name, or
the `overrides`, `domains` and `step_factor` of the space's own."""
_BY_PATH = ("overrides", "domains")
"""The settings of a budget that map paths; a space changes single paths of them."""
_STEP_FACTOR = "step_factor"
"""Setting of a network: its scaled budgets train so many times the steps, and look and prune as many times later."""


def _refuse_idle(config: Config, kind: str, names: Sequence[str]) -> None:
    """Raise ValueError if a setting that has no effect under the chosen `kind` is not at its default."""
    changed = [name for name in names if getattr(config, name) != type(config).model_fields[name].default]
    if changed:
        chosen = f"{kind} = {getattr(config, kind)}"
        raise ValueError(
            "\n".join(f"{name} = {getattr(config, name)} has no effect under {chosen}. Remove it." for name in changed)
        )


class Pruning(Config):
    """When a trial with poor looks is stopped: Optuna's pruner on smoothed looks, after `warm_up` steps."""

    pruner: Literal["median", "successive_halving", "hyperband", "none"] = "median"
    warm_up: int = Field(0, ge=0, description="steps before which no trial is pruned")
    n_startup_trials: int = Field(4, ge=1, description="trials that must finish before the median counts")
    tolerance: float = Field(
        0.0, ge=0, description="how far below the median a look must be for the median pruner to stop a trial"
    )
    smoothing: int = Field(2, ge=1, description="looks in the running mean")
    patience: int = Field(0, ge=0, description="looks without improvement before a trial may be pruned")

    @model_validator(mode="after")
    def _every_setting_matters(self) -> "Pruning":
        idle = {"none": ("warm_up", "n_startup_trials", "tolerance", "smoothing", "patience"), "median": ()}
        _refuse_idle(self, "pruner", idle.get(self.pruner, ("n_startup_trials", "tolerance")))
        return self


class Population(Config):
    """Population based training: how many trials train together, which are replaced, and how their values change."""

    size: int = Field(4, ge=2, description="trials that train in parallel")
    every: int = Field(100, ge=1, description="steps between two comparisons of all trials by their looks")
    quantile: float = Field(
        0.25, gt=0, le=0.5, description="share of trials replaced at the bottom, and copied at the top"
    )
    factor: float = Field(1.25, gt=1, description="by which a copied value is multiplied or divided")
    resample: float = Field(0.25, ge=0, le=1, description="probability that a copied value is drawn at random instead")


class Budget(Config):
    """How much a sweep may spend: the number of trials and the overrides that scale each of them."""

    purpose: str
    n_trials: int = Field(ge=1)
    sampler: Literal["tpe", "random", "grid", "gp", "pbt"] = "tpe"
    n_startup_trials: int = Field(10, ge=1, description="trials drawn at random before tpe or gp models the rest")
    pruning: Pruning = Pruning()
    pbt: Population = Population()
    confirm_best: bool = Field(
        False, description="train the best point and the paper's again at the end; see Sweep.confirm_best"
    )
    overrides: dict[str, Any] = Field({}, description="values by dotted path of the run's configuration")
    domains: dict[str, Domain] = Field({}, description="domains that replace those of the space, by path")

    @field_validator("overrides")
    @classmethod
    def _by_path(cls, overrides: dict[str, Any]) -> dict[str, Any]:
        return flattened(overrides)

    @model_validator(mode="after")
    def _every_setting_matters(self) -> "Budget":
        # The best point of population based training is the end of a schedule, which no single training repeats.
        idle = ["confirm_best"] if self.sampler == "pbt" else ["pbt"]
        if self.sampler in ("random", "grid", "pbt"):
            idle.append("n_startup_trials")
        _refuse_idle(self, "sampler", idle)
        if self.sampler == "pbt" and self.pruning.model_copy(update={"smoothing": 2}) != Pruning():
            raise ValueError("pruning: sampler = pbt ignores the pruning settings except smoothing; remove them.")
        return self


def with_shared_budgets(written: Any, searched: Collection[str]) -> Any:
    """The `budgets:` of a space's file with the shared ones spelled out; without `scaled` it is returned unchanged.

    `searched` holds the paths of the space's domains: a network's domain of another path is left out.
    Raises ConfigurationError for a network that is not in budgets.yaml, and for a step_factor that is no count.
    """
    if not isinstance(written, Mapping) or SCALED not in written:
        return written
    network = written[SCALED]
    if not isinstance(network, Mapping):
        name, networks = str(network), _SHARED["networks"]
        if name not in networks:
            raise ConfigurationError(
                f"budgets.scaled: budgets.yaml has no network '{name}'{suggestion(name, list(networks))}"
            )
        network = _searched_only(networks[name], searched)
    factor = network.get(_STEP_FACTOR, 1)
    if type(factor) is not int or factor < 1:
        raise ConfigurationError(f"budgets.scaled.{_STEP_FACTOR} must be a whole number of at least 1, got {factor!r}.")
    own = {name: budget for name, budget in written.items() if name != SCALED}
    shared = {name: _on_network(budget, network) for name, budget in _SHARED["budgets"].items()}
    return shared | {name: _merged(shared.get(name, {}), budget) for name, budget in own.items()}


def _searched_only(network: Mapping[str, Any], searched: Collection[str]) -> dict[str, Any]:
    domains = {path: domain for path, domain in network.get("domains", {}).items() if path in searched}
    return {**network, "domains": domains}


def _on_network(budget: Mapping[str, Any], network: Mapping[str, Any]) -> dict[str, Any]:
    """A shared budget with the network's overrides, domains and number of steps, if the budget is scaled."""
    values = {key: value for key, value in budget.items() if key != SCALED}
    if not budget.get(SCALED):
        return values
    factor = network.get(_STEP_FACTOR, 1)
    paths, pruning = values["overrides"], values["pruning"]
    steps = {path: factor * paths[path] for path in ("loop.n_steps", "loop.look_every")}
    longer = {"overrides": paths | steps, "pruning": pruning | {"warm_up": factor * pruning["warm_up"]}}
    return _merged(values | longer, {key: value for key, value in network.items() if key != _STEP_FACTOR})


def _merged(shared: Mapping[str, Any], own: Any) -> Any:
    """A shared budget with a space's own settings, overrides and domains in place of its; null removes a setting."""
    if not isinstance(own, Mapping):
        return own
    given = {key: own.get(key) or {} for key in _BY_PATH}
    by_path = {
        key: {**shared.get(key, {}), **paths} if isinstance(paths, Mapping) else paths for key, paths in given.items()
    }
    return {key: value for key, value in {**shared, **own, **by_path}.items() if value is not None}

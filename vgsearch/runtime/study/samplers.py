"""Draws the next point of a search by Optuna's samplers, as a function of (seed, index, history)."""

import hashlib
import importlib.util
import itertools
import math
import random
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from vgsearch.runtime.study.population import CHANGEABLE
from vgsearch.space.domains import ChoiceDomain, Domain, FloatDomain, Searched
from vgsearch.space.sweep import Sweep
from videogan.config import ConfigurationError

N_MODEL_DRAWS, N_RANDOM_DRAWS = 100, 2000
"""How often a proposal that breaks the constraints is redrawn: first by the sampler, then at random."""
LARGEST_GRID = 100_000


class IndexedSampler(BaseSampler):
    """A sampler seeded by (sweep seed, trial index), so that a resumed sweep proposes the same points.

    The index is the trial's order in the sweep and counts failed trials: otherwise the next proposal, with the same
    seed and history, would be the failed point again. One Optuna sampler draws all parameters of a trial: a new one for
    each would give every independent parameter the same random number. A proposal is drawn whole, and redrawn if it
    breaks the constraints, so that points spread over all of the allowed region.
    """

    def __init__(
        self,
        seed: int,
        searched: Searched,
        kind: str = "tpe",
        n_startup_trials: int = 10,
        grid: Mapping[int, dict[str, Any]] | None = None,
    ) -> None:
        """`grid`: the points by trial index, which replace drawing."""
        self._seed, self._searched, self._kind, self._n_startup_trials = seed, searched, kind, n_startup_trials
        self._grid = grid or {}
        self.begin(0)

    def begin(self, index: int, given: dict[str, Any] | None = None) -> None:
        """Set the trial of the next proposal: drawn, or `given` (a paper's point, a grid's point, a resumed trial)."""
        digest = hashlib.sha256(f"{self._seed}/{index}".encode()).digest()
        self._trial_seed = int.from_bytes(digest[:4], "big")
        given = given or self._grid.get(index)
        self._proposal = values_to_suggest(self._searched.domains, given) if given else None

    def proposal(self, trial: optuna.Trial, index: int) -> dict[str, Any]:
        """The values that this sampler would propose for a trial that has none yet, by path; they are not stored."""
        self.begin(index)
        trial.relative_params  # noqa: B018 (Optuna calls sample_relative at the first use)
        assert self._proposal is not None
        return {path: value for path, value in self._proposal.items() if path in self._searched.domains}

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: dict) -> dict[str, Any]:
        """Draw the whole proposal, which `sample_independent` returns value by value; itself returns nothing."""
        if self._proposal is None:
            self._proposal = values_to_suggest(self._searched.domains, self._drawn(study, trial))
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        assert self._proposal is not None, "Optuna calls sample_relative before"
        return self._proposal[param_name]

    def _drawn(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        model, chance = self._model(), RandomSampler(seed=self._trial_seed)
        for sampler in (*itertools.repeat(model, N_MODEL_DRAWS), *itertools.repeat(chance, N_RANDOM_DRAWS)):
            chosen = suggest_all(Draft(sampler, study, trial), self._searched)
            if not self._searched.broken_by(chosen):
                return chosen
        raise ConfigurationError(
            f"constraints: none of {N_MODEL_DRAWS + N_RANDOM_DRAWS} points drawn satisfies "
            f"{self._searched.constraints}; widen the domains."
        )

    def _model(self) -> BaseSampler:
        if self._kind in ("random", "pbt"):  # pbt draws its first population
            return RandomSampler(seed=self._trial_seed)
        if self._kind == "gp":
            with experimental():
                return GPSampler(
                    seed=self._trial_seed, n_startup_trials=self._n_startup_trials, warn_independent_sampling=False
                )
        with experimental():  # `group`, which models conditional domains
            return TPESampler(
                seed=self._trial_seed, n_startup_trials=self._n_startup_trials, multivariate=True, group=True
            )


class Suggests(ABC):
    """Suggests values by name, as an Optuna trial does."""

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        return self._suggest(name, CategoricalDistribution(choices))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        return self._suggest(name, IntDistribution(low, high, log=log))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        return self._suggest(name, FloatDistribution(low, high, log=log))

    @abstractmethod
    def _suggest(self, name: str, distribution: BaseDistribution) -> Any: ...


class Draft(Suggests):
    """Suggests a sampler's values for a trial without writing them into the study."""

    def __init__(self, sampler: BaseSampler, study: optuna.Study, trial: FrozenTrial) -> None:
        self._sampler, self._study, self._trial = sampler, study, trial
        self._space = sampler.infer_relative_search_space(study, trial)
        self._relative = sampler.sample_relative(study, trial, self._space)

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if name in self._relative and self._space[name] == distribution:
            return self._relative[name]
        return self._sampler.sample_independent(self._study, self._trial, name, distribution)


class Noted(Suggests):
    """Suggests given values and records the distribution of each."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given
        self.distributions: dict[str, BaseDistribution] = {}

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        self.distributions[name] = distribution
        return self.given[name]


def suggest_all(trial: Suggests | optuna.Trial, searched: Searched) -> dict[str, Any]:
    """Values of all active domains, conditional ones after those they depend on; integers include both ends."""
    chosen: dict[str, Any] = {}
    for path, domain in searched.in_order:
        if not searched.is_active(path, chosen):
            continue
        if isinstance(domain, ChoiceDomain):
            chosen[path] = trial.suggest_categorical(path, domain.choices)
        elif domain.type == "int":
            chosen[path] = trial.suggest_int(path, domain.low, domain.high, log=domain.log)
        elif domain.or_off is not None and not trial.suggest_categorical(_switch(path), [False, True]):
            chosen[path] = domain.or_off
        else:
            chosen[path] = trial.suggest_float(path, domain.low, domain.high, log=domain.log)
    return chosen


def values_to_suggest(domains: Mapping[str, Domain], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """All values that `suggest_all` needs: the `chosen` ones, and whether each that can be off is on."""
    switches = {
        _switch(path): value != domain.or_off
        for path, value in chosen.items()
        if isinstance(domain := domains.get(path), FloatDomain) and domain.or_off is not None
    }
    return {**chosen, **switches}


def _switch(path: str) -> str:
    return f"{path} is on"


def grid_of(sweep: Sweep) -> list[dict[str, Any]]:
    """The grid's points, except the paper's, that satisfy conditions and constraints, shuffled by the sweep's seed."""
    if not _proposes(sweep):
        return []
    points = [point for point in _walked(sweep.searched, {}) if point not in sweep.paper_points]
    random.Random(f"{sweep.seed}/grid").shuffle(points)
    return points


def _walked(searched: Searched, chosen: dict[str, Any], depth: int = 0) -> Iterator[dict[str, Any]]:
    if depth == len(searched.in_order):
        if not searched.broken_by(chosen):
            yield chosen
        return
    path, domain = searched.in_order[depth]
    if not searched.is_active(path, chosen):
        yield from _walked(searched, chosen, depth + 1)
        return
    for value in _grid_values(domain):
        yield from _walked(searched, {**chosen, path: value}, depth + 1)


def _grid_values(domain: Domain) -> Sequence[Any]:
    assert domain.grid is not None, "refuse_unfit_sampler refuses domains without a grid"
    return domain.grid


def refuse_unfit_sampler(sweep: Sweep) -> None:
    """Raise ConfigurationError with all reasons why the budget's sampler can't search the sweep's domains."""
    reasons = reasons_against_sampler(sweep)
    if reasons and _proposes(sweep):
        where = f"{sweep.space.name}.yaml ({sweep.budget}): sampler {sweep.limits.sampler}"
        raise ConfigurationError(f"{where}: {'; '.join(reasons)}.")


def reasons_against_sampler(sweep: Sweep) -> list[str]:
    """Why the budget's sampler can't search the sweep's domains; empty if it can."""
    kind = sweep.limits.sampler
    against = {"grid": _against_grid, "gp": _against_gp, "pbt": _against_pbt}
    return against[kind](sweep) if kind in against else []


def _proposes(sweep: Sweep) -> bool:
    """Whether the sweep has trials other than the paper's points; the sweep of `vgsearch train` has none."""
    return sweep.n_trials > len(sweep.paper_points)


def _against_grid(sweep: Sweep) -> list[str]:
    endless = [path for path, domain in sweep.domains.items() if domain.grid is None]
    if endless:
        return [f"{path} is a float domain without steps; give it steps, or fix it with --set" for path in endless]
    sizes: list[int] = [len(_grid_values(domain)) for domain in sweep.domains.values()]
    n_most = math.prod(sizes)
    if n_most > LARGEST_GRID:
        return [
            f"up to {n_most:,} points, at most {LARGEST_GRID:,} are allowed; lower steps, or fix domains with --set"
        ]
    n_points = len(sweep.paper_points) + len(grid_of(sweep))
    if sweep.n_trials > n_points:
        return [f"{sweep.n_trials} trials requested, but the grid has {n_points} points; use --trials {n_points}"]
    return []


def _against_gp(sweep: Sweep) -> list[str]:
    named = [path for path, domain in sweep.domains.items() if isinstance(domain, ChoiceDomain)]
    reasons = [f"{path} is a choice, which a Gaussian process can't model; fix it with --set" for path in named]
    reasons += [
        f"{path} may be off, which is a choice; fix it with --set"
        for path, domain in sweep.domains.items()
        if getattr(domain, "or_off", None) is not None
    ]
    reasons += [
        f"{path} is conditional; fix it with --set"
        for path, domain in sweep.domains.items()
        if domain.when and path not in named
    ]
    if any(set(inequality.paths) <= set(sweep.domains) for inequality in sweep.space.inequalities):
        reasons.append("it proposes one optimum, which can't be redrawn until it satisfies the constraints")
    if len(sweep.objectives()) > 1:
        reasons.append("it models one objective; name one in evaluation.objective")
    if not reasons and importlib.util.find_spec("scipy") is None:
        reasons.append("it needs scipy; pip install vgsearch[gp]")
    return reasons


def _against_pbt(sweep: Sweep) -> list[str]:
    reasons = [
        f"{path} can't change while a network trains; fix it with --set"
        for path in sweep.domains
        if path not in CHANGEABLE
    ]
    if len(sweep.objectives()) > 1:
        reasons.append("it compares looks, which have a single objective; name one in evaluation.objective")
    if sweep.n_trials <= sweep.limits.pbt.size:
        reasons.append(f"{sweep.n_trials} trials leave none after the first {sweep.limits.pbt.size}; raise --trials")
    if sweep.max_concurrent is not None and sweep.max_concurrent < sweep.limits.pbt.size:
        reasons.append(
            f"its {sweep.limits.pbt.size} members train in parallel; raise --max-concurrent, or lower pbt.size"
        )
    return reasons


@contextmanager
def experimental() -> Iterator[None]:
    """Silence Optuna's warning that a feature may change in a later version: constraints.txt pins the version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield

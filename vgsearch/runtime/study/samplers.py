"""How the next point of a search is drawn: Optuna's samplers, each proposal a function of (seed, index, what is known)."""

import hashlib
import importlib.util
import itertools
import math
import random
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from vgsearch.runtime.study.population import CHANGEABLE
from vgsearch.space.domains import ChoiceDomain, Domain, Searched
from vgsearch.space.sweep import Sweep
from videogan.config import ConfigurationError

N_MODEL_DRAWS, N_RANDOM_DRAWS = 100, 2000
"""So often a proposal that breaks the constraints is drawn again: first by the sampler, then at random."""
LARGEST_GRID = 100_000


class IndexedSampler(BaseSampler):
    """A sampler whose randomness follows from (sweep seed, trial index), so that a resumed sweep proposes what it would have.

    The index is the trial's own order in the sweep: failed trials count, or the next proposal, with the same seed and
    history, would be the failed point again. One sampler of Optuna's serves all parameters of one trial: a fresh one for
    each would give every independent parameter the same random number. A proposal is drawn whole, and drawn again where
    it breaks the constraints, so that those are kept by points spread over all that keeps them.
    """

    def __init__(
        self,
        seed: int,
        searched: Searched,
        kind: str = "tpe",
        n_startup_trials: int = 10,
        grid: Mapping[int, dict[str, Any]] | None = None,
    ) -> None:
        """`grid`: the point of each trial by its index, in place of what would be drawn."""
        self._seed, self._searched, self._kind, self._n_startup_trials = seed, searched, kind, n_startup_trials
        self._grid = grid or {}
        self.begin(0)

    def begin(self, index: int, given: dict[str, Any] | None = None) -> None:
        """Makes the next proposal the one of trial `index`: drawn, or `given` (a paper's point, a grid's, a resumed trial)."""
        digest = hashlib.sha256(f"{self._seed}/{index}".encode()).digest()
        self._trial_seed = int.from_bytes(digest[:4], "big")
        given = given or self._grid.get(index)
        self._proposal = asked(self._searched.domains, given) if given else None

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: dict) -> dict[str, Any]:
        """Nothing apart: the whole proposal is drawn here, and `sample_independent` hands it out."""
        if self._proposal is None:
            self._proposal = asked(self._searched.domains, self._drawn(study, trial))
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._proposal[param_name]

    def _drawn(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        model, chance = self._model(), RandomSampler(seed=self._trial_seed)
        for sampler in (*itertools.repeat(model, N_MODEL_DRAWS), *itertools.repeat(chance, N_RANDOM_DRAWS)):
            chosen = suggest_all(Draft(sampler, study, trial), self._searched)
            if not self._searched.broken_by(chosen):
                return chosen
        raise ConfigurationError(
            f"constraints: none of {N_MODEL_DRAWS + N_RANDOM_DRAWS} points drawn keeps {self._searched.constraints}; "
            "widen the domains."
        )

    def _model(self) -> BaseSampler:
        if self._kind in ("random", "pbt"):  # which draws its first population
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
    """What proposes values by name, as a trial of Optuna's does."""

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        return self._suggest(name, CategoricalDistribution(choices))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        return self._suggest(name, IntDistribution(low, high, log=log))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        return self._suggest(name, FloatDistribution(low, high, log=log))

    @abstractmethod
    def _suggest(self, name: str, distribution: BaseDistribution) -> Any: ...


class Draft(Suggests):
    """What a sampler proposes for a trial, without writing it into the study."""

    def __init__(self, sampler: BaseSampler, study: optuna.Study, trial: FrozenTrial) -> None:
        self._sampler, self._study, self._trial = sampler, study, trial
        self._space = sampler.infer_relative_search_space(study, trial)
        self._relative = sampler.sample_relative(study, trial, self._space)

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if name in self._relative and self._space[name] == distribution:
            return self._relative[name]
        return self._sampler.sample_independent(self._study, self._trial, name, distribution)


class Noted(Suggests):
    """Given values, and the distributions that they are asked for from."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given, self.distributions = given, {}

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        self.distributions[name] = distribution
        return self.given[name]


def suggest_all(trial: Suggests | optuna.Trial, searched: Searched) -> dict[str, Any]:
    """Values for every active domain, conditional ones after what they depend on; integers include both ends."""
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


def asked(domains: Mapping[str, Domain], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """`chosen` values and, where a domain can be off, whether it is on: all that `suggest_all` asks for by name."""
    switches = {
        _switch(path): value != domains[path].or_off
        for path, value in chosen.items()
        if getattr(domains.get(path), "or_off", None) is not None
    }
    return {**chosen, **switches}


def _switch(path: str) -> str:
    return f"{path} is on"


def grid_of(sweep: Sweep) -> list[dict[str, Any]]:
    """The points of a grid beside the paper's, in an order shuffled by the sweep's seed; conditions and constraints hold."""
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
    for value in domain.grid:
        yield from _walked(searched, {**chosen, path: value}, depth + 1)


def refuse_unfit_sampler(sweep: Sweep) -> None:
    """Raises ConfigurationError, with every reason, where the budget's sampler can't search what the sweep searches."""
    kind = sweep.limits.sampler
    against = {"grid": _against_grid, "gp": _against_gp, "pbt": _against_pbt}
    reasons = against[kind](sweep) if kind in against else []
    if reasons and _proposes(sweep):
        told = "; ".join(reasons)
        raise ConfigurationError(f"{sweep.space.name}.yaml ({sweep.budget}): sampler {kind}: {told}.")


def _proposes(sweep: Sweep) -> bool:
    """Whether it has trials beside the paper's points, as `vgsearch train` has not."""
    return sweep.n_trials > len(sweep.paper_points)


def _against_grid(sweep: Sweep) -> list[str]:
    endless = [path for path, domain in sweep.domains.items() if domain.grid is None]
    if endless:
        return [f"{path} is a float domain without steps; give it steps, or fix it with --set" for path in endless]
    n_most = math.prod(len(domain.grid) for domain in sweep.domains.values())
    if n_most > LARGEST_GRID:
        return [f"up to {n_most:,} points, and {LARGEST_GRID:,} are the most; lower steps, or fix domains with --set"]
    n_points = len(sweep.paper_points) + len(grid_of(sweep))
    if sweep.n_trials > n_points:
        return [f"{sweep.n_trials} trials asked, but the grid has {n_points} points; --trials {n_points}"]
    return []


def _against_gp(sweep: Sweep) -> list[str]:
    named = [path for path, domain in sweep.domains.items() if isinstance(domain, ChoiceDomain)]
    reasons = [f"{path} is a choice, which has no distances; fix it with --set" for path in named]
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
        reasons.append("it proposes one optimum, which can't be drawn again until it keeps the constraints")
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
        reasons.append("it compares looks, which are of one objective; name one in evaluation.objective")
    if sweep.n_trials <= sweep.limits.pbt.size:
        reasons.append(f"{sweep.n_trials} trials leave none after the first {sweep.limits.pbt.size}; raise --trials")
    if sweep.max_concurrent is not None and sweep.max_concurrent < sweep.limits.pbt.size:
        reasons.append(
            f"its {sweep.limits.pbt.size} members train side by side; raise --max-concurrent, or lower pbt.size"
        )
    return reasons


@contextmanager
def experimental() -> Iterator[None]:
    """Silences Optuna's warning that a feature may change in a later version: constraints.txt names the version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield

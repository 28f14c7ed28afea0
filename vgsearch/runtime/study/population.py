"""Population based training (Jaderberg et al., arXiv 1711.09846), in trials that each keep their values throughout.

The paper gives a poor member the weights of a good one and mutated values, and trains it further. Here the poor trial
is pruned, and a new trial starts from the good one's newest checkpoint, so every trial has one point and one end.
"""

import math
import random
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

from vgsearch.experiment.end import KILLED
from vgsearch.experiment.ledger import SweepRecord, TrialRecord
from vgsearch.runtime.study.proposal import Proposal
from vgsearch.space.budgets import Population
from vgsearch.space.domains import ChoiceDomain, Domain
from vgsearch.space.sweep import Sweep

CHANGEABLE = ("optimiser.lr_g", "optimiser.lr_d", "model.alpha")
"""Settings that may change while a network trains; any other would build other networks or another loss."""
MOST_DRAWS = 100


class PopulationPruner(BasePruner):
    """Prunes a trial whose look is among the worst of all trials at the same multiple of `every` steps."""

    def __init__(self, population: Population) -> None:
        self._population = population

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None or step % self._population.every:
            return False
        looks = [t.intermediate_values[step] for t in study.get_trials(deepcopy=False) if step in t.intermediate_values]
        if len(looks) < self._population.size:
            return False
        worst_first = sorted(looks, reverse=study.direction == optuna.study.StudyDirection.MINIMIZE)
        n_pruned = math.floor(len(looks) * self._population.quantile)
        return n_pruned > 0 and trial.intermediate_values[step] in worst_first[:n_pruned]


def successor(record: SweepRecord, sweep: Sweep, index: int) -> Proposal | None:
    """The proposal of trial `index`: the mutated values of one of the best trials, and its checkpoint.

    None for the first population, and as long as no trial has a look at `every` steps. A function of (sweep seed,
    index, record), so that a resumed sweep proposes the same.
    """
    population = sweep.limits.pbt
    if sweep.limits.sampler != "pbt" or index < population.size:
        return None
    members = [trial for trial in record.trials.values() if _can_be_parent(trial, population)]
    if not members:
        return None
    n_recent = sweep.limits.pruning.smoothing
    best = sorted(members, key=lambda trial: (-_recent(trial, n_recent), trial.index))
    rng = random.Random(f"{sweep.seed}/{index}/pbt")
    parent = rng.choice(best[: math.ceil(len(best) * population.quantile)])
    return Proposal(index, mutated(parent.overrides, sweep, rng), parent=parent.index)


def _can_be_parent(trial: TrialRecord, population: Population) -> bool:
    return trial.state in ("running", KILLED, "done") and any(step >= population.every for step in trial.looks)


def _recent(trial: TrialRecord, n: int) -> float:
    """The mean of the trial's `n` newest looks; larger is better."""
    newest: Sequence[float] = [trial.looks[step] for step in sorted(trial.looks)[-n:]]
    return sum(newest) / len(newest)


def mutated(chosen: dict[str, Any], sweep: Sweep, rng: random.Random) -> dict[str, Any]:
    """Each value moved up or down or redrawn; the same values if no draw satisfies the space's constraints."""
    for _ in range(MOST_DRAWS):
        others = {path: _mutated(value, sweep.domains[path], sweep.limits.pbt, rng) for path, value in chosen.items()}
        if not sweep.searched.broken_by(others):
            return others
    return dict(chosen)


def _mutated(value: Any, domain: Domain, population: Population, rng: random.Random) -> Any:
    if rng.random() < population.resample:
        return domain.draw(rng)
    up = rng.random() < 0.5
    if isinstance(domain, ChoiceDomain):
        at = domain.choices.index(value) + (1 if up else -1)
        return domain.choices[min(max(at, 0), len(domain.choices) - 1)]
    if value == getattr(domain, "or_off", None):
        return value
    moved = value * population.factor if up else value / population.factor
    return type(value)(min(max(moved, domain.low), domain.high))

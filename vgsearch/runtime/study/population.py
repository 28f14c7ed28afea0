"""Population based training (Jaderberg et al., arXiv 1711.09846), in trials that each keep their values to the end.

Where the paper gives a poor member a good one's weights and mutated values, and trains it on, a poor trial ends here as
pruned, and the trial after it begins from the good one's newest checkpoint: so every trial has one point, one record, one end.
"""

import math
import random
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

from vgsearch.experiment.ledger import SweepRecord, TrialRecord
from vgsearch.runtime.study.proposal import Proposal
from vgsearch.space.budgets import Population
from vgsearch.space.domains import ChoiceDomain, Domain
from vgsearch.space.sweep import Sweep

CHANGEABLE = ("optimiser.lr_g", "optimiser.lr_ratio", "model.alpha")
"""What may be another value from one step to the next: all else builds other networks or another game."""
MOST_DRAWS = 100


class PopulationPruner(BasePruner):
    """Gives a trial up where its look is among the worst of all that have come to the same multiple of `every` steps."""

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
        n_given_up = math.floor(len(looks) * self._population.quantile)
        return n_given_up > 0 and trial.intermediate_values[step] in worst_first[:n_given_up]


def successor(record: SweepRecord, sweep: Sweep, index: int) -> Proposal | None:
    """Trial `index` as it goes on from one of the best; None while the first population is begun, and before any has looked.

    A function of (sweep seed, index, record): a resumed sweep proposes what it would have.
    """
    population = sweep.limits.pbt
    if sweep.limits.sampler != "pbt" or index < population.size:
        return None
    members = [trial for trial in record.trials.values() if _can_be_gone_on_from(trial, population)]
    if not members:
        return None
    n_recent = sweep.limits.pruning.smoothing
    best = sorted(members, key=lambda trial: (-_recent(trial, n_recent), trial.index))
    rng = random.Random(f"{sweep.seed}/{index}/pbt")
    parent = rng.choice(best[: math.ceil(len(best) * population.quantile)])
    return Proposal(index, mutated(parent.overrides, sweep, rng), parent=parent.index)


def _can_be_gone_on_from(trial: TrialRecord, population: Population) -> bool:
    return trial.state in ("running", "done") and any(step >= population.every for step in trial.looks)


def _recent(trial: TrialRecord, n: int) -> float:
    """The mean of its newest looks, of which a larger one is always better."""
    newest: Sequence[float] = [trial.looks[step] for step in sorted(trial.looks)[-n:]]
    return sum(newest) / len(newest)


def mutated(chosen: dict[str, Any], sweep: Sweep, rng: random.Random) -> dict[str, Any]:
    """Each value a step up or down, or drawn anew; the same values where no draw keeps the space's constraints."""
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

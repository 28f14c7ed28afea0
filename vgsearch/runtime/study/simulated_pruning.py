"""Simulated pruning: recorded trials pass through the pruner of a sweep, one after the other."""

from collections.abc import Sequence

import numpy as np
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from vgsearch.replay.prunings import WatchedTrials
from vgsearch.replay.recorded import RecordedTrials
from vgsearch.runtime.study.searcher import looks_of_study
from vgsearch.runtime.study.study import new_study
from vgsearch.runtime.study.warm_start import add_known
from vgsearch.space.sweep import Sweep


def looks_as_pruned(trials: WatchedTrials, sweep: Sweep) -> np.ndarray:
    """The looks (n, looks) as the sweep's study stores them: smoothed, in the direction of its objective."""
    found = [looks_of_study(zip(trials.steps, looks.tolist(), strict=True), sweep) for looks in trials.looks]
    return np.array([[looks[step] for step in trials.steps] for looks in found])


def simulated_pruning(
    sweep: Sweep, recorded: RecordedTrials, trials: WatchedTrials, looks: np.ndarray, order: Sequence[int]
) -> np.ndarray:
    """The step at which each trial (n) is pruned if they run in `order`, one at a time; 0 for one that is kept.

    `looks` as of `looks_as_pruned`. The study starts with the known trials that the sweep's own study started with.
    """
    study = new_study(InMemoryStorage(), sweep)
    add_known(study, sweep, recorded.known)
    sign = -1 if recorded.objective.direction == "maximize" else 1
    pruned_at = np.zeros(len(order), dtype=int)
    for row in order:
        trial = study.ask()
        for step, look in zip(trials.steps, looks[row].tolist(), strict=True):
            trial.report(look, step)
            if trial.should_prune():
                pruned_at[row] = step
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, sign * float(trials.losses[row]))
    return pruned_at

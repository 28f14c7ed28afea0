"""Simulated pruning is the pruning of tune on recorded looks."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import three_domains, tiny_sweep
from tests.recorded_trials import events_of, learns_late, near_the_paper, record_of
from vgsearch.experiment.end import End
from vgsearch.replay.prunings import WatchedTrials, watched
from vgsearch.replay.recorded import RecordedTrials, recorded_trials
from vgsearch.runtime.study.proposal import Proposal
from vgsearch.runtime.study.searcher import StudySearcher
from vgsearch.runtime.study.simulated_pruning import looks_as_pruned, simulated_pruning
from vgsearch.runtime.study.study import open_study
from vgsearch.space.sweep import Sweep

N = 24
MEDIAN = {"pruner": "median", "warm_up": 50, "n_startup_trials": 3}
HALVING = {"pruner": "successive_halving", "warm_up": 50}
HYPERBAND = {"pruner": "hyperband", "warm_up": 25}


def a_sweep(pruning: dict[str, Any], objective: str = "s3") -> Sweep:
    overrides = {"evaluation.objective": objective}
    return tiny_sweep(three_domains(), limits={"pruning": pruning}, overrides=overrides)


def recorded(
    sweep: Sweep, look: Any = learns_late, score: Any = near_the_paper
) -> tuple[RecordedTrials, WatchedTrials]:
    table = recorded_trials("a", sweep, record_of(events_of(sweep, N, score, look)))
    return table, watched("a", table)


def pruned(sweep: Sweep, order: list[int], **functions: Any) -> np.ndarray:
    table, trials = recorded(sweep, **functions)
    return simulated_pruning(sweep, table, trials, looks_as_pruned(trials, sweep), order)


class _Silent:
    def begin(self, proposal: Proposal) -> dict[str, Any]:
        return {"index": proposal.index}

    def progressed(self, parameters: dict[str, Any], result: dict[str, Any]) -> None: ...

    def ended(self, parameters: dict[str, Any], end: End) -> None: ...


def pruned_by_tune(sweep: Sweep, order: list[int]) -> np.ndarray:
    """The recorded trials through the searcher that Ray Tune drives, with an SQL study."""
    table, _ = recorded(sweep)
    study = open_study(Path(":memory:"), sweep)
    searcher = StudySearcher(study, sweep, [], _Silent())
    ended = np.zeros(len(order), dtype=int)
    for row in order:
        trial = table.trials[row]
        searcher.queue(Proposal(row, trial.overrides))
        searcher.suggest(trial.trial_id)
        results = ({"step": step, "look": look} for step, look in trial.looks.items())
        ended[row] = next((result["step"] for result in results if searcher.take(trial.trial_id, result)), 0)
        scores = {f"scores/{name}": value for name, value in trial.scores.items()}
        end = {} if ended[row] else {"end": "done", **scores}
        searcher.on_trial_complete(trial.trial_id, end)
    return ended


@pytest.mark.parametrize("objective", ["s3", "-kvd"])
@pytest.mark.parametrize(
    "pruning",
    [MEDIAN, MEDIAN | {"patience": 1}, HALVING, HALVING | {"smoothing": 1}, HYPERBAND],
    ids=["median", "patient", "halving", "unsmoothed", "hyperband"],
)
def test_it_prunes_the_same_trials_at_the_same_steps_as_the_searcher_of_tune(pruning: dict, objective: str):
    sweep, order = a_sweep(pruning, objective), list(np.random.default_rng(0).permutation(N).tolist())
    found = pruned(sweep, order)
    assert found.tolist() == pruned_by_tune(sweep, order).tolist()
    assert 0 < (found > 0).sum() < N
    assert found[order[0]] == 0, "the first trial has nothing to be compared with"


def test_no_pruner_prunes_nothing():
    assert not pruned(a_sweep({"pruner": "none"}), list(range(N))).any()


@pytest.mark.parametrize("pruning", [MEDIAN, HALVING, HYPERBAND], ids=["median", "halving", "hyperband"])
def test_nothing_is_pruned_before_the_warm_up_and_looks_that_equal_the_score_never_lose_the_best(pruning: dict):
    sweep, best = a_sweep(pruning), None
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(N).tolist()
        ended = pruned(sweep, order, look=lambda score, share, rng: score)
        table, _ = recorded(sweep)
        best = int(table.losses.argmin())
        assert ended[best] == 0
        assert ended[ended > 0].min() >= pruning["warm_up"]


def test_looks_that_reverse_the_order_lose_the_best():
    table, _ = recorded(a_sweep(HALVING))
    best = int(table.losses.argmin())
    order = [row for row in range(N) if row != best] + [best]
    assert pruned(a_sweep(HALVING), order, look=lambda score, share, rng: 1 - score)[best] == 50


def test_looks_are_smoothed_as_in_a_study_and_negated_if_it_minimises():
    scores = itertools.cycle([0.5])
    for objective, sign in (("s3", 1), ("-kvd", -1)):
        sweep = a_sweep(MEDIAN | {"smoothing": 2}, objective)
        _, trials = recorded(sweep, look=lambda score, share, rng: share, score=lambda point: next(scores))
        shares = np.arange(1, 9) / 8
        smoothed = np.concatenate([shares[:1], (shares[1:] + shares[:-1]) / 2])
        assert looks_as_pruned(trials, sweep)[0].tolist() == pytest.approx((sign * smoothed).tolist())

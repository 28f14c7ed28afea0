"""Counts of simulated searches and prunings are exact, and a mark needs intervals that support it."""

import itertools
import math
import random
from typing import Any

import numpy as np
import pytest

from tests.builders import SIGMA_A, three_domains, tiny_sweep
from tests.recorded_trials import events_of, record_of
from vgsearch.replay.prunings import PruningSetting, WatchedTrials, correlations, pruned_by
from vgsearch.replay.recorded import RecordedTrials, recorded_trials
from vgsearch.replay.searches import SearchSetting, any_order, found_by, neighbours_correlation, spread_of

N = 10
RANDOM, TPE = SearchSetting("random", True, 1), SearchSetting("tpe", True, 1)


def a_table() -> RecordedTrials:
    """Row k has the score k / 10, so row 9 is best."""
    sweep, scores = tiny_sweep(three_domains()), iter(range(N))
    return recorded_trials("a", sweep, record_of(events_of(sweep, N, lambda point: next(scores) / 10)))


def test_the_best_and_its_rank_count_only_the_first_trials():
    orders = np.array([[0, 1, 9], [2, 5, 3], [8, 0, 1], [4, 6, 7]] * 5)
    two, three = found_by(a_table(), {TPE: orders}, (2, 3), seed=0)
    assert (two.best.mean, three.best.mean) == (pytest.approx(0.55), pytest.approx(0.75))
    assert (two.rank.mean, three.rank.mean) == (np.mean([9, 5, 2, 4]), np.mean([1, 5, 2, 3]))


def test_any_order_is_the_exact_expectation_over_all_orders():
    table = a_table()  # row 0 is the paper's point and the worst
    table.trials[3].scores["s3"] = table.trials[4].scores["s3"]  # a tie
    for paper_first in (False, True):
        rest = range(1, N) if paper_first else range(N)
        first = [0] if paper_first else []
        for after in (1, 2, 3, N):
            drawn = list(itertools.combinations(rest, after - len(first)))
            best = [min((*first, *rows), key=lambda row: table.losses[row]) for rows in drawn]
            found = any_order(table, after, paper_first)
            assert found.rank == pytest.approx(np.mean(table.ranks[best]))
            assert found.best == np.sort(-table.losses[best])[::-1][(len(best) - 1) // 2]


def test_without_a_better_rank_than_any_order_nobody_leads():
    worst, worse = np.tile([0, 1, 2], (40, 1)), np.tile([0, 1, 3], (40, 1))
    assert not any(each.leads for each in found_by(a_table(), {RANDOM: worst, TPE: worse}, (3,), 0))


def test_a_neighbours_score_tells_a_trials_own_in_a_smooth_table_and_nothing_in_noise():
    sweep, rng = tiny_sweep(one_domain()), random.Random(0)
    scores = {"smooth": lambda point: abs(math.log(point[SIGMA_A])), "noise": lambda point: rng.random()}
    tables = {
        name: recorded_trials("a", sweep, record_of(events_of(sweep, 40, score))) for name, score in scores.items()
    }
    smooth, noise = (neighbours_correlation(tables[name], 0) for name in scores)
    assert smooth.low > 0.9
    assert noise.low < 0 < noise.high


def one_domain() -> dict[str, Any]:
    values = three_domains()
    values["domains"] = {SIGMA_A: values["domains"][SIGMA_A]}
    values["paper_points"] = [{SIGMA_A: point[SIGMA_A]} for point in values["paper_points"]]
    return values


def test_only_a_sampler_with_a_better_rank_in_a_paired_interval_leads():
    rng = np.random.default_rng(0)
    poor = np.stack([rng.permutation(N)[:3] for _ in range(40)])
    good = np.where(poor == poor.max(axis=1, keepdims=True), N - 1, 0)
    leads = {each.setting.sampler: each.leads for each in found_by(a_table(), {RANDOM: poor, TPE: good}, (3,), 0)}
    assert leads == {"random": False, "tpe": True}
    equal = found_by(a_table(), {RANDOM: poor, TPE: poor[::-1]}, (3,), 0)
    assert not any(each.leads for each in equal)
    assert not any(each.leads for each in found_by(a_table(), {TPE: good}, (3,), 0)), "alone it leads nobody"
    assert not any(each.leads for each in found_by(a_table(), {RANDOM: poor, TPE: good}, (3,), 0, teaches=False))
    other_start = SearchSetting("tpe", False, 1)
    assert not any(each.leads for each in found_by(a_table(), {RANDOM: poor, other_start: good}, (3,), 0))


def test_a_spread_is_relative_to_random_which_is_one_exactly():
    apart = np.random.default_rng(0).uniform(0.2, 0.4, 20)
    spread = spread_of("random", 8, apart, apart / 2, apart, seed=0)
    assert spread.together == (1, 1, 1)
    assert spread.alone == pytest.approx((0.5, 0.5, 0.5))


def trials(losses: np.ndarray, looks: np.ndarray | None = None) -> WatchedTrials:
    looks = -losses[:, None].repeat(2, axis=1) if looks is None else looks
    return WatchedTrials(100, (50, 100), looks, losses, 0)


def test_steps_saved_best_lost_and_regret_are_counted_exactly():
    losses = np.arange(8.0)
    ended = np.zeros((4, 8), dtype=int)
    ended[:, 4:] = 50  # half of the trials stop at half of the steps
    ended[0, 0] = 100  # one repeat loses the best at the last look, which saves nothing
    (found,) = pruned_by(trials(losses), {PruningSetting("median", 0): ended}, seed=0)
    assert (found.saved.mean, found.lost.mean, found.regret.mean) == (0.25, 0.25, 0.25)


def test_a_best_trial_that_another_equals_is_not_lost_with_it():
    ended = np.zeros((3, 8), dtype=int)
    ended[:, 0] = 50
    (found,) = pruned_by(trials(np.array([0.0, 0.0, *range(1, 7)])), {PruningSetting("median", 0): ended}, seed=0)
    assert (found.lost.mean, found.regret.mean) == (0, 0)


def a_pruner(share: float, n: int = 40, loses: int = 0) -> np.ndarray:
    """A pruner that stops the worst share of n trials at step 50, and the best `loses`, in 30 repeats."""
    ended = np.zeros((30, n), dtype=int)
    ended[:, n - round(share * n) :] = 50
    ended[:, :loses] = 50
    return ended


def marks(**pruners: np.ndarray) -> list[str]:
    ended = {PruningSetting(name, 0): steps for name, steps in pruners.items()}
    return [each.setting.pruner for each in pruned_by(trials(np.arange(40.0)), ended, seed=0) if each.leads]


def test_the_setting_that_saves_the_most_at_no_risk_is_marked_and_no_tie_is():
    nothing = np.zeros((30, 40), dtype=int)
    assert marks(none=nothing, some=a_pruner(0.2), more=a_pruner(0.5)) == ["more"]
    assert marks(none=nothing, some=a_pruner(0.5), same=a_pruner(0.5)) == []
    assert marks(none=nothing, some=a_pruner(0.2), greedy=a_pruner(0.8, loses=3)) == ["some"]
    assert marks(none=nothing, greedy=a_pruner(0.8, loses=3)) == [], "none saves nothing"


def test_a_pruner_that_loses_only_the_recorded_best_is_no_safer_for_the_luck_of_one_trial():
    # In 37 % of resamples the best trial is absent, and the next is lost or not.
    found = pruned_by(trials(np.arange(40.0)), {PruningSetting("p", 0): a_pruner(0.5, loses=1)}, seed=0)[0]
    assert (found.lost.mean, found.lost.low, found.lost.high) == (1, 0, 1)


def test_looks_that_rank_as_the_score_correlate_fully_and_constant_ones_have_no_correlation():
    losses = np.random.default_rng(0).normal(size=30)
    looks = np.stack([np.full(30, 0.25), np.exp(-losses)], axis=1)
    first, last = correlations(trials(losses, looks), -looks, seed=0)
    assert np.isnan(first.look.mean)
    assert np.isnan(first.look.high)
    assert last.look == pytest.approx((1, 1, 1))
    assert last.smoothed == pytest.approx((-1, -1, -1))

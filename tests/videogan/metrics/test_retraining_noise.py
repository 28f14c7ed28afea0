"""How much of the scores' variance is retraining: published values, identities, limits, and simulated runs."""

import math

import numpy as np
import pytest

from videogan.metrics.distributions import power_of_t_test
from videogan.metrics.interval import Interval
from videogan.metrics.retraining_noise import MOST_SEEDS, luck_of_the_best, retraining_noise, seeds_to_tell

SHROUT_AND_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
"""Their table 2: 6 targets, each rated 4 times."""
SCORES = [[0.52, 0.55, 0.49], [0.61, 0.60, 0.66], [0.43, 0.47, 0.44]]


def test_the_example_of_shrout_and_fleiss_has_its_published_values():
    noise = retraining_noise(SHROUT_AND_FLEISS)
    assert (noise.n_points, noise.n_runs) == (6, 24)
    assert noise.within == pytest.approx(6.26, abs=0.005)
    assert noise.within + 4 * noise.between == pytest.approx(11.24, abs=0.005)
    # ICC(1,1) = .17, and the interval that R's package psych gives.
    assert noise.icc == pytest.approx((0.166, -0.133, 0.723), abs=0.0005)
    assert noise.share == pytest.approx((0.166, 0, 0.723), abs=0.0005)


def test_without_retraining_noise_all_variance_is_between_points_and_two_seeds_are_enough():
    noise = retraining_noise([[0.1] * 3, [0.7] * 3])
    assert noise.icc == Interval(1, 1, 1)
    assert (noise.within, noise.between) == (0, pytest.approx(0.18))
    assert (noise.seeds.n, noise.seeds.low, noise.seeds.high) == (2, 2, 2)
    nearly = retraining_noise([[0.1, 0.1, 0.1 + 1e-9], [0.7] * 3])
    assert nearly.icc == pytest.approx((1, 1, 1))
    assert nearly.seeds.n == 2


def test_points_that_do_not_differ_have_a_share_of_zero():
    noise = retraining_noise([[0.5, 0.6], [0.6, 0.5], [0.52, 0.58]])
    assert noise.between < 0
    assert noise.icc.mean < 0
    assert (noise.share.mean, noise.share.low) == (0, 0)
    nearly = retraining_noise([[0.5, 0.6, 0.7], [0.55, 0.62, 0.71], [0.45, 0.58, 0.69]])
    assert nearly.icc.low < 0 < nearly.icc.high


def test_the_share_depends_on_neither_the_scale_nor_the_origin_nor_the_order():
    noise = retraining_noise(SCORES)
    moved = retraining_noise([[7 - 30 * score for score in reversed(runs)] for runs in reversed(SCORES)], 30 * 0.05)
    assert moved.icc == pytest.approx(noise.icc)
    assert moved.within == pytest.approx(900 * noise.within)
    assert (moved.seeds.n, moved.seeds.low, moved.seeds.high) == (noise.seeds.n, noise.seeds.low, noise.seeds.high)


def test_runs_of_different_numbers_are_analysed_and_points_without_runs_are_left_out():
    noise = retraining_noise([[1.0, 3.0], [6.0], [], [4.0, 5.0, 9.0]])
    # By hand: SSW = 2 + 0 + 14 on 3, SSB = 2 * 2.667^2 + 1.333^2 + 3 * 1.333^2 on 2, n_0 = (6 - 14 / 6) / 2.
    assert (noise.n_points, noise.n_runs, noise.within) == (3, 6, pytest.approx(16 / 3))
    assert noise.between == pytest.approx((64 / 3 / 2 - 16 / 3) / (11 / 6))
    assert noise.icc.mean == pytest.approx(noise.between / (noise.between + noise.within))


def test_simulated_runs_have_the_variances_they_were_drawn_with_and_intervals_hold_the_share_19_times_of_20():
    draws, n, share = np.random.default_rng(0), 200, 0.4
    between, within = share * 0.01, (1 - share) * 0.01
    found = []
    for _ in range(n):
        points = 0.5 + math.sqrt(between) * draws.standard_normal((6, 1))
        found.append(retraining_noise((points + math.sqrt(within) * draws.standard_normal((6, 4))).tolist()))
    # Standard errors: of MSW .006 sqrt(2 / 18 / 200), of MSB / 4 about .0055 sqrt(2 / 5 / 200), of the coverage .0154.
    assert np.mean([noise.within for noise in found]) == pytest.approx(within, abs=3 * 1.5e-4)
    assert np.mean([noise.between for noise in found]) == pytest.approx(between, abs=3 * 2.5e-4)
    held = np.mean([noise.icc.low <= share <= noise.icc.high for noise in found])
    assert held == pytest.approx(0.95, abs=3 * 0.0154)
    truth = seeds_to_tell(0.05, math.sqrt(within))
    assert np.mean([noise.seeds.low <= truth <= noise.seeds.high for noise in found]) >= 0.95 - 3 * 0.0154


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ([], "it needs at least 2 points with a score, got 0"),
        ([[0.5, 0.6]], "it needs at least 2 points with a score, got 1"),
        ([[0.5, 0.6], []], "it needs at least 2 points with a score, got 1"),
        ([[0.5], [0.6]], "it needs a point that was trained and scored with several seeds, each was with one"),
        ([[0.5, 0.5], [0.5, 0.5]], "all scores are equal"),
    ],
)
def test_undefined_cases_have_a_reason_and_no_number(scores: list[list[float]], reason: str):
    noise = retraining_noise(scores)
    assert all(map(math.isnan, (*noise.icc, *noise.share, noise.between, noise.within)))
    assert (noise.seeds, noise.reason) == (None, reason)


def test_a_score_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="scores must be finite"):
        retraining_noise([[0.5, math.nan], [0.6, 0.7]])


def test_scores_without_a_scale_are_told_apart_at_the_spread_between_points():
    noise = retraining_noise(SCORES, apart=None)
    assert noise.seeds.apart == pytest.approx(math.sqrt(noise.between))
    assert noise.seeds.n == seeds_to_tell(math.sqrt(noise.between), math.sqrt(noise.within))
    assert noise.seeds.low <= noise.seeds.n <= noise.seeds.high
    thousandfold = retraining_noise([[1000 * score for score in runs] for runs in SCORES], apart=None)
    assert (thousandfold.seeds.n, thousandfold.seeds.high) == (noise.seeds.n, noise.seeds.high)
    unclear = retraining_noise([[0.5, 0.6, 0.7], [0.65, 0.72, 0.81]], apart=None)
    assert unclear.icc.low < 0 < unclear.icc.mean
    assert (unclear.seeds.high, unclear.reason) == (None, "")
    none = retraining_noise([[0.5, 0.6], [0.5, 0.6]], apart=None)
    assert (none.seeds, none.reason) == (None, "points differ no more than runs of one point do")


@pytest.mark.parametrize(("effect", "n"), [(0.2, 394), (0.5, 64), (0.8, 26), (1.0, 17)])
def test_seeds_equal_the_published_sample_sizes(effect: float, n: int):
    # Cohen 1988, two-sided 5 %, power .8, as exact programs give them.
    assert seeds_to_tell(effect, 1.0) == n


def test_one_seed_fewer_has_too_little_power():
    for effect in (0.3, 0.7, 1.3, 2.0, 3.0, 5.0):
        n = seeds_to_tell(0.05 * effect, 0.05)
        assert power_of_t_test(n, effect) >= 0.8
        assert n == 2 or power_of_t_test(n - 1, effect) < 0.8


def test_the_seeds_needed_have_limits_and_impossible_questions_are_refused():
    assert seeds_to_tell(0.05, 0.0) == seeds_to_tell(0.05, 1e-300) == 2
    assert seeds_to_tell(1e-300, 1e300) is None
    assert seeds_to_tell(1.0, math.sqrt(MOST_SEEDS / 15)) is None
    for apart, spread in ((0.0, 1.0), (-0.05, 1.0), (0.05, -1.0), (0.05, math.nan)):
        with pytest.raises(ValueError, match="apart must be above 0"):
            seeds_to_tell(apart, spread)


def test_the_best_of_equal_points_is_as_lucky_as_the_largest_of_normal_values():
    # Of 2 and 3: 1 / sqrt(pi) and 1.5 / sqrt(pi). Of 10, 100: Harter 1961.
    expected = {1: 0.0, 2: math.pi**-0.5, 3: 1.5 * math.pi**-0.5, 10: 1.53875, 100: 2.50759}
    for n, mean in expected.items():
        assert luck_of_the_best(n, 1.0) == pytest.approx(mean, abs=1e-5)
    assert luck_of_the_best(10, 0.04) == pytest.approx(0.04 * 1.53875, abs=1e-6)
    with pytest.raises(ValueError, match="at least 1 point, got 0"):
        luck_of_the_best(0, 1.0)

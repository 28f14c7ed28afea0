"""The expected best of n trials: exact if it can be counted."""

import numpy as np
import pytest

from vgsearch.report.expected_best import expected_best


def test_one_trial_is_expected_to_be_the_mean_and_more_never_to_be_worse():
    losses = list(np.random.default_rng(0).normal(size=50))
    curve = expected_best(losses, floor=None)
    assert curve.mean[0] == pytest.approx(np.mean(losses), abs=0.1)
    assert (np.diff(curve.mean) <= 1e-12).all()
    assert (curve.low <= curve.mean).all()
    assert (curve.mean <= curve.high).all()


def test_two_draws_of_two_trials_find_the_better_three_times_in_four():
    curve = expected_best([0.0, 1.0], floor=None)
    assert curve.mean[1] == pytest.approx(0.25, abs=0.03)


def test_equal_trials_give_a_constant_curve():
    curve = expected_best([0.4] * 5, floor=None)
    assert curve.mean == pytest.approx([0.4] * 5)
    assert curve.low == pytest.approx(curve.high)


def test_a_trial_without_a_score_uses_a_draw():
    scored, half = expected_best([0.0, 1.0], floor=2.0), expected_best([0.0, 1.0, None, None], floor=2.0)
    assert (half.mean[:2] > scored.mean).all()
    assert half.mean[0] == pytest.approx((0 + 1 + 2 + 2) / 4, abs=0.1)


def test_without_a_floor_the_mean_is_nan_if_draws_find_no_score():
    curve = expected_best([0.0] + [None] * 9, floor=None)
    assert np.isnan(curve.mean).all()


def test_a_missing_or_worse_score_counts_as_the_floor():
    curve = expected_best([5.0, None], floor=2.0)
    assert curve.mean == pytest.approx([2.0, 2.0])


def test_the_same_seed_draws_the_same():
    losses = [0.3, 0.1, None, 0.7]
    assert expected_best(losses, 1.0).mean.tolist() == expected_best(losses, 1.0).mean.tolist()

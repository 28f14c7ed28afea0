"""Intervals over seeds are Student's, and stay within what a score can be."""

import math

import pytest
import torch

from videogan.metrics.seed_interval import score_interval, seed_interval


def test_interval_is_students():
    # Mean 2, standard deviation 1, n = 3: 2 +- 4.303 / sqrt(3), by hand.
    interval = seed_interval([1.0, 2.0, 3.0])
    assert interval.mean == 2
    assert interval.low == pytest.approx(2 - 2.4843, abs=1e-3)
    assert interval.high == pytest.approx(2 + 2.4843, abs=1e-3)


def test_interval_covers_the_true_mean_of_normal_scores_in_95_of_100_draws():
    draws = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).tolist()
    covered = sum(i.low <= 0 <= i.high for i in map(seed_interval, draws)) / len(draws)
    assert abs(covered - 0.95) < 0.015


def test_one_seed_has_a_mean_but_no_interval_and_an_undefined_score_stays_undefined():
    assert seed_interval([0.5]).mean == 0.5
    assert math.isnan(seed_interval([0.5]).low)
    assert all(map(math.isnan, seed_interval([0.5, math.nan])))


def test_the_interval_of_an_accuracy_over_seeds_stays_within_0_and_100_percent():
    low, high = [0.01, 0.3], [0.99, 0.7]
    for name in ("ser", "res", "rer"):
        assert score_interval(name, low).low == 0.0 > seed_interval(low).low
        assert score_interval(name, high).high == 1.0 < seed_interval(high).high
    assert score_interval("s3", low).low == 0.0
    assert score_interval("s3", high).high == seed_interval(high).high > 1
    assert score_interval("kvd", low) == seed_interval(low)
    assert math.isnan(score_interval("ser", [0.5]).low)

"""Intervals cover what they say, and a statistic without a value stays without one."""

import math

import numpy as np
import pytest

from vgsearch.replay.intervals import bootstrap_interval, mean_interval, median_interval, rank_correlation


def test_the_median_of_six_values_lies_between_the_extremes_and_of_five_nobody_knows():
    assert median_interval(np.array([6.0, 1, 5, 2, 4, 3])) == (3.5, 1, 6)  # 2 / 64 outside
    assert math.isnan(median_interval(np.arange(5.0)).low)


@pytest.mark.parametrize("n", [6, 25, 100])
def test_the_interval_of_a_median_covers_it_in_95_percent_of_samples(n: int):
    samples = np.random.default_rng(n).exponential(size=(2000, n))
    intervals = [median_interval(sample) for sample in samples]
    covered = np.mean([low <= math.log(2) <= high for _, low, high in intervals])
    assert 0.95 - 3 * math.sqrt(0.95 * 0.05 / 2000) < covered < 0.985


def test_the_interval_of_a_mean_covers_it_in_about_95_percent_of_samples():
    samples = np.random.default_rng(0).normal(size=(300, 40))
    covered = np.mean([low <= 0 <= high for _, low, high in (mean_interval(each, 0) for each in samples)])
    assert 0.89 < covered < 0.99  # a percentile bootstrap of 40 is a little short


def test_a_statistic_that_too_many_bootstraps_lack_has_no_interval():
    resampled = np.arange(100.0)
    assert bootstrap_interval(50.0, resampled).low == pytest.approx(np.quantile(resampled, 0.025))
    resampled[:5] = math.nan
    assert bootstrap_interval(50.0, resampled).low > 5
    resampled[5] = math.nan
    assert math.isnan(bootstrap_interval(50.0, resampled).low)
    assert math.isnan(bootstrap_interval(math.nan, np.ones(100)).high)


def test_a_rank_correlation_sees_only_the_order_and_gives_equal_values_their_mean_rank():
    values = np.array([3.0, 1.0, 4.0, 1.5, 9.0])
    assert rank_correlation(values, np.exp(values)) == pytest.approx(1)
    assert rank_correlation(values, -values) == pytest.approx(-1)
    # Ranks 0, 1.5, 1.5, 3 and 0, 1, 2, 3: 4.5 / sqrt(4.5 x 5).
    assert rank_correlation(np.array([1.0, 2, 2, 3]), np.arange(4.0)) == pytest.approx(4.5 / math.sqrt(22.5))
    assert math.isnan(rank_correlation(np.ones(4), np.arange(4.0)))

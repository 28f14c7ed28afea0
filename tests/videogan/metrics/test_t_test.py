"""Student's t-tests against another program, and their agreement with the intervals that are printed beside them."""

import pytest
import torch

from videogan.metrics.seed_interval import seed_interval
from videogan.metrics.t_test import difference, paired_p


def test_students_p_equals_scipys_for_every_number_of_seeds():
    stats = pytest.importorskip("scipy.stats", reason="an independent source for Student's p")
    differences = [0.031, -0.012, 0.044, 0.027, 0.009, -0.003, 0.051, 0.018, -0.06, 0.1]
    for n in range(2, len(differences) + 1):
        assert paired_p(differences[:n]) == pytest.approx(stats.ttest_1samp(differences[:n], 0).pvalue)
        assert paired_p([-d for d in differences[:n]]) == pytest.approx(paired_p(differences[:n]))


def test_students_p_is_below_5_percent_exactly_where_the_interval_leaves_out_0():
    rng = torch.Generator().manual_seed(0)
    for n in (2, 3, 5, 10):
        for draw in (torch.randn(200, n, generator=rng).double() + 0.8).tolist():
            interval = seed_interval(draw)
            if min(abs(interval.low), abs(interval.high)) > 0.001:  # the table of quantiles has three digits
                assert (paired_p(draw) < 0.05) == (not interval.low <= 0 <= interval.high)


def test_students_p_without_a_deviation_is_0_or_1_and_one_difference_is_refused():
    assert (paired_p([0.0, 0.0]), paired_p([0.1, 0.1])) == (1.0, 0.0)
    with pytest.raises(ValueError, match="at least 2 differences, got 1"):
        paired_p([0.1])


def test_the_difference_of_two_samples_equals_scipys_for_unequal_numbers():
    stats = pytest.importorskip("scipy.stats", reason="an independent source for Student's test")
    ours, theirs = [0.52, 0.55, 0.49, 0.61], [0.40, 0.47, 0.51]
    expected = stats.ttest_ind(ours, theirs)
    interval, p = difference(ours, theirs)
    assert p == pytest.approx(expected.pvalue)
    bounds = expected.confidence_interval(0.95)
    assert interval == pytest.approx((sum(ours) / 4 - sum(theirs) / 3, bounds.low, bounds.high))


def test_equal_samples_without_deviation_do_not_differ_and_one_value_is_refused():
    assert difference([0.5, 0.5], [0.5, 0.5]) == ((0.0, 0.0, 0.0), 1.0)
    with pytest.raises(ValueError, match="at least 2 values of each, got 1 and 2"):
        difference([0.5], [0.5, 0.6])

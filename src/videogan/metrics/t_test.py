"""Student's t-tests of two methods' scores: paired by seed, or of two independent samples. Imports no torch."""

import math
from collections.abc import Sequence
from statistics import fmean, variance

from videogan.metrics.distributions import f_quantile, regularised_beta
from videogan.metrics.interval import Interval


def paired_p(differences: Sequence[float]) -> float:
    """The two-sided p that the mean of 2 or more `differences` is 0; 1 if all of them are 0.

    Below .05 exactly where `seed_interval` of them leaves out 0.
    """
    n = len(differences)
    if n < 2:
        raise ValueError(f"a t-test needs at least 2 differences, got {n}.")
    return _p(fmean(differences), math.sqrt(variance(differences) / n), n - 1)


def difference(ours: Sequence[float], theirs: Sequence[float]) -> tuple[Interval, float]:
    """Mean of `ours` minus mean of `theirs` with its 95 % interval, and the two-sided p that it is 0.

    Of two independent samples with one variance, each of 2 or more values (Student 1908); p is below .05 exactly where
    the interval leaves out 0.
    """
    if min(len(ours), len(theirs)) < 2:
        raise ValueError(f"a t-test needs at least 2 values of each, got {len(ours)} and {len(theirs)}.")
    apart, freedom = fmean(ours) - fmean(theirs), len(ours) + len(theirs) - 2
    pooled = sum((len(values) - 1) * variance(values) for values in (ours, theirs)) / freedom
    error = math.sqrt(pooled * (1 / len(ours) + 1 / len(theirs)))
    margin = math.sqrt(f_quantile(0.95, 1, freedom)) * error
    return Interval(apart, apart - margin, apart + margin), _p(apart, error, freedom)


def _p(apart: float, error: float, freedom: int) -> float:
    """Of a difference with a standard error: the chance that Student's t is at least as far from 0."""
    if error == 0:
        return 0.0 if apart else 1.0
    return regularised_beta(freedom / (freedom + (apart / error) ** 2), freedom / 2, 0.5)

"""95 % intervals of medians by order statistics and of other statistics by bootstrap; rank correlation with ties."""

import math

import numpy as np

from videogan.metrics.interval import Interval

N_BOOTSTRAPS = 1000
OUTSIDE = 0.05
"""The probability that a value lies outside an interval."""
MOST_UNDEFINED = 0.05
"""Largest share of bootstraps in which a statistic may have no value; above it there is no interval."""


def median_interval(values: np.ndarray) -> Interval:
    """The median of values (n) with its 95 % interval by order statistics, which assumes no distribution.

    The k-th smallest and k-th largest value, with the largest k for which Binomial(n, 1/2) < k has at most 2.5 %. The
    bounds are NaN for fewer than 6 values, which have no such k.
    """
    n, ordered = len(values), np.sort(values)
    below, k = 0.0, 0
    while (below := below + math.comb(n, k) / 2**n) <= OUTSIDE / 2:
        k += 1
    low, high = (ordered[k - 1], ordered[n - k]) if k else (math.nan, math.nan)
    return Interval(float(np.median(values)), float(low), float(high))


def bootstrap_interval(mean: float, resampled: np.ndarray) -> Interval:
    """`mean` with the middle 95 % of a statistic's values in bootstraps (n); NaN: the statistic has no value.

    The bounds are NaN if `mean` is, or if more than 5 % of the bootstraps have no value.
    """
    defined = resampled[~np.isnan(resampled)]
    if math.isnan(mean) or len(defined) < (1 - MOST_UNDEFINED) * len(resampled):
        return Interval(mean, math.nan, math.nan)
    low, high = np.quantile(defined, (OUTSIDE / 2, 1 - OUTSIDE / 2))
    return Interval(mean, float(low), float(high))


def mean_interval(values: np.ndarray, seed: int) -> Interval:
    """The mean of values (n) with its interval by bootstrap over them; random by `seed` alone."""
    drawn = np.random.default_rng(seed).integers(len(values), size=(N_BOOTSTRAPS, len(values)))
    return bootstrap_interval(float(values.mean()), values[drawn].mean(axis=1))


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation of values (n) and others (n), equal ones with their mean rank; NaN if all are equal."""
    first, second = (_ranks(values) - (len(values) - 1) / 2 for values in (one, other))
    spread = math.sqrt(float(first @ first) * float(second @ second))
    return float(first @ second) / spread if spread else math.nan


def _ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value from 0, equal values with the mean of their ranks."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts + 1) / 2)[which])

"""Student's 95 % interval of a mean over seeds. Imports no torch, so that programs compare scores without it."""

import math
from collections.abc import Sequence

from videogan.metrics import ACCURACIES, SCORES_OF_S3
from videogan.metrics.interval import Interval

# 0.975 quantiles of Student's t for 1, 2, ... degrees of freedom (from any table).
T_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
MAX_SEEDS = len(T_QUANTILES) + 1


def seed_interval(values: Sequence[float]) -> Interval:
    """Mean of 1 to 10 `values`, one per classifier seed, and Student's 95 % interval of the mean, NaN for one seed."""
    n = len(values)
    if not 1 <= n <= MAX_SEEDS:
        raise ValueError(f"an interval needs 1 to {MAX_SEEDS} seeds, got {n}.")
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, math.nan, math.nan)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    margin = T_QUANTILES[n - 2] * math.sqrt(variance / n)
    return Interval(mean, mean - margin, mean + margin)


def score_interval(name: str, values: Sequence[float]) -> Interval:
    """`seed_interval` of the score `name`, limited to what it can be: accuracies to 0 to 1, S3 to 0 and above."""
    mean, low, high = seed_interval(values)
    if name in ACCURACIES or name in SCORES_OF_S3:
        low = low if math.isnan(low) else max(0.0, low)  # max and min would take a NaN for a bound
    if name in ACCURACIES:
        high = high if math.isnan(high) else min(1.0, high)
    return Interval(mean, low, high)

"""The Symmetric Similarity Score S3 (MVT-GAN, eq. 6) on accuracies: fractions or percent, the score is the same."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

# 0.975 quantiles of Student's t for 1, 2, ... degrees of freedom (any table of the distribution).
T_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
MAX_SEEDS = len(T_QUANTILES) + 1


class Interval(NamedTuple):
    """A mean over classifier seeds and its 95 % interval; `low` and `high` are NaN for a single seed."""

    mean: float
    low: float
    high: float


def accuracy(predictions: Tensor, labels: Tensor) -> float:
    """Fraction of `predictions` (n,) that equal `labels` (n,)."""
    if predictions.shape != labels.shape or not len(labels):
        raise ValueError(f"accuracy needs as many predictions as labels, got {len(predictions)} for {len(labels)}.")
    return (predictions == labels).double().mean().item()


def s3_score(ser: float, res: float, rer: float) -> float:
    """S3 = sqrt((SeR / ReR) (ReS / ReR)), MVT-GAN eq. 6; NaN where ReR = 0, where it is undefined.

    `ser`: trained on synthetic, tested on real; `res`: trained on real, tested on synthetic; `rer`: both real.
    """
    return math.sqrt(ser * res) / rer if rer else math.nan


def s3_chance_corrected(ser: float, res: float, rer: float, n_classes: int) -> float:
    """S3 of accuracies (fractions) rescaled so that guessing among K classes is 0: (x - 1/K) / (1 - 1/K), at least 0.

    Not the paper's score, which rewards guessing: with K = 4 an SeR at chance beside ReS = .96 still gives S3 = .5.
    """
    if n_classes < 2:
        raise ValueError(f"chance correction needs at least 2 classes, got {n_classes}.")
    if max(ser, res, rer) > 1:
        raise ValueError(f"accuracies must be fractions, got SeR {ser}, ReS {res}, ReR {rer}; divide percent by 100.")
    chance = 1 / n_classes
    return s3_score(*(max(0.0, (x - chance) / (1 - chance)) for x in (ser, res, rer)))


def s3_of_guessing(rer: float, n_classes: int) -> float:
    """The chance floor: S3 = 1 / (K ReR) of samples on which both classifiers only guess."""
    return s3_score(1 / n_classes, 1 / n_classes, rer)


def seed_interval(values: Sequence[float]) -> Interval:
    """Mean over classifier seeds and Student's 95 % interval of that mean; `values`: one score a seed, 1 to 10 of them."""
    n = len(values)
    if not 1 <= n <= MAX_SEEDS:
        raise ValueError(f"an interval needs 1 to {MAX_SEEDS} seeds, got {n}.")
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, math.nan, math.nan)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    margin = T_QUANTILES[n - 2] * math.sqrt(variance / n)
    return Interval(mean, mean - margin, mean + margin)

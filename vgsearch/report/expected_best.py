"""The best score to expect of n trials, so that searches are compared at one budget (Lucic et al. 2018)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

MOST_WITHOUT_SCORE = 0.05  # of the draws, beyond which no mean is told
_MOST_DRAWN = 2_000_000


class ExpectedBest(NamedTuple):
    """Mean and 90 % of the draws of the best loss after 1, 2, ... trials; NaN where too many draws found none."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def expected_best(losses: Sequence[float | None], floor: float | None, seed: int = 0) -> ExpectedBest:
    """Bootstrap over the trials that ended: draws of n of them with replacement, and the least loss of each draw.

    `losses`: one for each trial, None of those that ended without a score: they cost a draw and win nothing. `floor` is
    what one has without any: an untrained generator's loss. Where it is None, draws that found nothing are left out.
    Random by `seed` alone.
    """
    n = len(losses)
    n_draws = max(100, min(2000, _MOST_DRAWN // max(n, 1)))
    nothing = math.inf if floor is None else floor
    each = np.array([nothing if loss is None else loss for loss in losses], dtype=float)
    drawn = np.random.default_rng(seed).integers(n, size=(n_draws, n))
    best = np.minimum.accumulate(np.minimum(each[drawn], nothing), axis=1)
    mean, low, high = (np.full(n, math.nan) for _ in range(3))
    for after in range(n):
        found = best[np.isfinite(best[:, after]), after]
        if len(found) >= (1 - MOST_WITHOUT_SCORE) * n_draws:
            mean[after] = found.mean()
            low[after], high[after] = np.quantile(found, (0.05, 0.95))
    return ExpectedBest(mean, low, high)

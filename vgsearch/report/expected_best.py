"""The expected best score after n trials, to compare searches at one budget (Lucic et al. 2018)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

MOST_WITHOUT_SCORE = 0.05  # largest share of draws without a score; above it the mean is NaN
_MOST_DRAWN = 2_000_000


class ExpectedBest(NamedTuple):
    """Mean and 90 % range of the best loss after 1, 2, ... trials, each (n,); NaN if too many draws have no score."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def expected_best(losses: Sequence[float | None], floor: float | None, seed: int = 0) -> ExpectedBest:
    """Bootstrap over the trials that ended: draws of n of them with replacement, and the lowest loss of each draw.

    `losses`: one for each trial, None for those that ended without a score: they use up a draw. `floor`: the loss of an
    untrained generator, which a draw without a score has; None leaves such draws out. Random by `seed` alone.
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

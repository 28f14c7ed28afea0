"""How much of a score's variance is between points, how much is retraining the same point, and what that hides.

A point is one choice of hyperparameters; a run is one training of it, with a seed of its own, and the score of that.
Imports no torch, so that viewers of ledgers can use it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist

from videogan.metrics.distributions import chi_square_quantile, f_quantile, power_of_t_test
from videogan.metrics.interval import Interval

APART = 0.05
"""The difference of two points that a search by S3 must be able to tell."""
POWER = 0.8
MOST_SEEDS = 100_000
"""Numbers of seeds above it are not told apart."""
_UNDEFINED = Interval(math.nan, math.nan, math.nan)
_LARGEST_EFFECT = 30.0
"""A difference, in standard deviations of retraining, that two seeds tell for certain."""


@dataclass(frozen=True)
class SeedsNeeded:
    """How many seeds a point tell two points `apart` from each other; None: more than MOST_SEEDS."""

    apart: float
    n: int | None
    low: int | None
    """The 95 % interval, as `high`: the variances are estimates from few runs."""
    high: int | None


@dataclass(frozen=True)
class RetrainingNoise:
    """The one-way random-effects analysis of variance of scores: score = mean + point + run of the point."""

    n_points: int
    n_runs: int
    """Of all points together."""
    icc: Interval = _UNDEFINED
    """ICC(1), the share of the variance that is between points, and its 95 % interval, as estimated: it may be below 0
    if points differ less than their runs do. NaN if it is undefined."""
    between: float = math.nan
    """The variance between points, as estimated: below 0 if points differ less than their runs let expect."""
    within: float = math.nan
    """The variance of retraining and scoring one point."""
    seeds: SeedsNeeded | None = None
    reason: str = ""
    """Why `icc` is NaN, or `seeds` is None."""

    @property
    def share(self) -> Interval:
        """`icc`, with what is below 0 as 0: no variance is negative, only its estimate."""
        return Interval(*(part if math.isnan(part) else max(part, 0.0) for part in self.icc))

    @property
    def spread(self) -> float:
        """The standard deviation of retraining and scoring one point."""
        return math.sqrt(self.within)


def retraining_noise(scores: Sequence[Sequence[float]], apart: float | None = APART) -> RetrainingNoise:
    """Analyse the scores of each point's runs, such as [[.52, .55, .49], [.61, .60, .66]].

    ICC(1) is that of Shrout and Fleiss 1979 (Psychological Bulletin 86), (MSB - MSW) / (MSB + (n_0 - 1) MSW) for mean
    squares between and within points; its interval is that of McGraw and Wong 1996 (Psychological Methods 1), exact
    for normal points and runs and equally many runs a point. For unequal numbers n_0 = (N - sum(n_i^2) / N) / (k - 1),
    and the interval is an approximation.

    `apart`: the difference that the needed seeds are counted for; None: the standard deviation between points, for
    scores without a scale of their own. The interval of that number follows from the chi-square interval of the
    variance of retraining or, for None, from that of ICC(1).

    Undefined cases have NaN or None and a reason. Raises ValueError for a score that is not finite.
    """
    if not all(math.isfinite(score) for runs in scores for score in runs):
        raise ValueError(f"scores must be finite, got {[list(runs) for runs in scores]}; leave failed runs out.")
    groups = [[Fraction(score) for score in runs] for runs in scores if runs]  # exact: equal scores have variance 0
    n_points, n_runs = len(groups), sum(map(len, groups))
    if reason := _why_undefined(groups):
        return RetrainingNoise(n_points, n_runs, reason=reason)
    df_between, df_within = n_points - 1, n_runs - n_points
    ms_between, ms_within = _mean_squares(groups)
    n_0 = (n_runs - sum(len(runs) ** 2 for runs in groups) / n_runs) / df_between
    icc = _icc(ms_between, ms_within, n_0, df_between, df_within)
    between = (ms_between - ms_within) / n_0
    seeds = _by_spread_of_points(icc) if apart is None else _by_difference(apart, ms_within, df_within)
    if apart is None and seeds is not None:
        seeds = SeedsNeeded(math.sqrt(between), seeds.n, seeds.low, seeds.high)
    reason = "" if seeds else "points differ no more than runs of one point do"
    return RetrainingNoise(n_points, n_runs, icc, between, ms_within, seeds, reason)


def _why_undefined(groups: Sequence[Sequence[Fraction]]) -> str:
    if len(groups) < 2:
        return f"it needs at least 2 points with a score, got {len(groups)}"
    if all(len(runs) == 1 for runs in groups):
        return "it needs a point that was trained and scored with several seeds, each was with one"
    if len({score for runs in groups for score in runs}) == 1:
        return "all scores are equal"
    return ""


def _mean_squares(groups: Sequence[Sequence[Fraction]]) -> tuple[float, float]:
    """MSB and MSW: of the points' means about the grand mean, of runs about their point's mean."""
    n_runs = sum(map(len, groups))
    means = [sum(runs) / Fraction(len(runs)) for runs in groups]
    grand = sum(map(sum, groups)) / Fraction(n_runs)
    between = sum(len(runs) * (mean - grand) ** 2 for runs, mean in zip(groups, means, strict=True))
    within = sum((score - mean) ** 2 for runs, mean in zip(groups, means, strict=True) for score in runs)
    return float(between / (len(groups) - 1)), float(within / (n_runs - len(groups)))


def _icc(ms_between: float, ms_within: float, n_0: float, df_between: int, df_within: int) -> Interval:
    """ICC(1) for the observed F, and for the F at the ends of its 95 % interval."""
    if ms_within == 0:
        return Interval(1.0, 1.0, 1.0)
    ratio = ms_between / ms_within
    ends = ratio / f_quantile(0.975, df_between, df_within), ratio * f_quantile(0.975, df_within, df_between)
    return Interval(*((f - 1) / (f - 1 + n_0) for f in (ratio, *ends)))


def _by_difference(apart: float, within: float, df: int) -> SeedsNeeded:
    ends = (within * df / chi_square_quantile(p, df) for p in (0.975, 0.025))
    return SeedsNeeded(apart, *(seeds_to_tell(apart, math.sqrt(variance)) for variance in (within, *ends)))


def _by_spread_of_points(icc: Interval) -> SeedsNeeded | None:
    """For a difference of one standard deviation between points, in units of it; None if there is none."""
    if icc.mean <= 0:
        return None
    n, high, low = (seeds_to_tell(1.0, math.sqrt(1 / share - 1)) if share > 0 else None for share in icc)
    return SeedsNeeded(1.0, n, low, high)


def seeds_to_tell(apart: float, spread: float) -> int | None:
    """The fewest seeds a point with which Student's two-sample t test tells two points; None above MOST_SEEDS.

    Two-sided at 5 %, power .8. `apart`: the difference of the points' true scores, above 0; `spread`: the standard
    deviation of retraining one point. At least 2, without which there is no test.
    """
    if not (apart > 0 and spread >= 0):
        raise ValueError(f"apart must be above 0 and spread at least 0, got apart {apart}, spread {spread}.")
    effect = min(apart / spread, _LARGEST_EFFECT) if spread else _LARGEST_EFFECT
    # A t test needs more seeds than the test that knows the spread, but few more.
    quantiles = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(POWER)
    n = max(2.0, 2 * (quantiles / effect) ** 2) if effect else math.inf
    if n > MOST_SEEDS:
        return None
    enough = math.ceil(n)
    while power_of_t_test(enough, effect) < POWER:
        enough += 1
    return enough


def luck_of_the_best(n_points: int, spread: float) -> float:
    """How far the best of `n_points` equally good points is expected above their mean, by retraining alone.

    The expected largest of n independent normal values of standard deviation `spread`, that of one point's score: for
    a mean over m seeds it is the spread of one retraining divided by sqrt(m).
    """
    if n_points < 1:
        raise ValueError(f"the best needs at least 1 point, got {n_points}.")
    # E[max] is the integral of x n phi(x) Phi(x)^(n - 1); the trapezoid rule is accurate for such smooth functions.
    normal, step = NormalDist(), 1 / 32
    grid = [step * at for at in range(-9 * 32, 9 * 32 + 1)]
    return spread * step * math.fsum(x * n_points * normal.pdf(x) * normal.cdf(x) ** (n_points - 1) for x in grid)

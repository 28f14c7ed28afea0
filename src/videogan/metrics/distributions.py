"""Quantiles of the F and chi-square distributions, and the power of Student's two-sample t test, in plain Python."""

import math
from collections.abc import Callable
from functools import lru_cache

_BISECTIONS = 100
_POISSON_REACH = 9
"""Standard deviations from its mean at which a Poisson distribution is cut off; what is beyond is below 1e-12."""


def regularised_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b), the regularised incomplete beta function, for 0 <= x <= 1 and positive a, b (DLMF 8.17)."""
    if not (0 <= x <= 1 and a > 0 and b > 0):
        raise ValueError(f"I_x(a, b) needs 0 <= x <= 1 and positive a and b, got x {x}, a {a}, b {b}.")
    if x in (0, 1):
        return float(x)
    if x > (a + 1) / (a + b + 2):  # the fraction converges slowly there; DLMF 8.17.4
        return 1 - regularised_beta(1 - x, b, a)
    log_front = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    # DLMF 8.17.22, from its last kept term to its first. The number of terms it needs grows as sqrt(max(a, b)).
    fraction = 1.0
    for m in range(20 + int(5 * math.sqrt(max(a, b))), 0, -1):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        fraction = 1 + even / (1 + odd / fraction)
    return math.exp(log_front) / (a * (1 - (a + b) * x / ((a + 1) * fraction)))


def regularised_gamma(x: float, a: float) -> float:
    """P(a, x), the regularised lower incomplete gamma function, for x >= 0 and positive a (DLMF 8.11.4)."""
    if not (x >= 0 and a > 0):
        raise ValueError(f"P(a, x) needs x >= 0 and a positive a, got x {x}, a {a}.")
    if x == 0:
        return 0.0
    term = total = 1.0
    k = a
    while term > 1e-17 * total:
        k += 1
        term *= x / k
        total += term
    return min(math.exp(a * math.log(x) - x - math.lgamma(a + 1)) * total, 1.0)


@lru_cache(maxsize=256)
def f_quantile(p: float, df_1: int, df_2: int) -> float:
    """The value that an F variable of `df_1` and `df_2` degrees of freedom stays below with probability `p`."""
    x = _root(lambda x: regularised_beta(x, df_1 / 2, df_2 / 2) - p, 0.0, 1.0)
    return df_2 * x / (df_1 * (1 - x))


@lru_cache(maxsize=256)
def chi_square_quantile(p: float, df: int) -> float:
    """The value that a chi-square variable of `df` degrees of freedom stays below with probability `p`."""
    # Twenty standard deviations above its mean, and far above both for few degrees of freedom.
    return _root(lambda x: regularised_gamma(x / 2, df / 2) - p, 0.0, df + 20 * math.sqrt(2 * df) + 100)


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function crosses 0 between `low` and `high`, by bisection, to the last bits."""
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2


def power_of_t_test(n: int, effect: float) -> float:
    """The chance that Student's two-sample t test, two-sided at 5 %, tells two normal means apart.

    `n` (at least 2) values of each; `effect`: the difference of the means in standard deviations of one value. Exact:
    t^2 has a noncentral F distribution of 1 and 2n - 2 degrees of freedom and noncentrality n effect^2 / 2, a Poisson
    mixture of beta distributions (Johnson, Kotz and Balakrishnan 1995, chapter 30).
    """
    if n < 2:
        raise ValueError(f"a two-sample t test needs at least 2 values of each, got {n}.")
    df, half = 2 * n - 2, n * effect**2 / 4
    critical = f_quantile(0.95, 1, df)
    x = critical / (critical + df)
    missed, reach = 0.0, _POISSON_REACH * math.sqrt(half)
    for j in range(max(0, int(half - reach)), int(half + reach) + 10):
        log_poisson = j * math.log(half) - half - math.lgamma(j + 1) if half else (0.0 if j == 0 else -math.inf)
        missed += math.exp(log_poisson) * regularised_beta(x, j + 0.5, df / 2)
    return 1 - missed

"""Kernel distance: unbiased squared MMD with a cubic kernel (KID, Binkowski et al. 2018; KVD on clips, SCIENCE D5)."""

from torch import Tensor

from videogan.metrics.features import require_features

BLOCK = 1024  # clips in float64 at a time: two sets of 10,000 x 4,096 take 0.3 GB of extra memory


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """E k(x, x') + E k(y, y') - 2 E k(x, y) over pairs of different clips, k(a, b) = (a.b / d + 1)^3.

    `x` (n, d), `y` (m, d): features. Its expectation is the squared MMD for all n and m (Gretton et al. 2012, eq. 3):
    0 for equal distributions, where estimates are often negative. Raises ValueError if n or m < 2, which leaves no
    pair, or if the sizes d differ.
    """
    n, m = (len(require_features(features, name, at_least=2)) for features, name in ((x, "x"), (y, "y")))
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"x and y must have equally many features, got {x.shape[1]} and {y.shape[1]}; use one network for both."
        )
    within_x = (_kernel_sum(x, x) - _kernel_of_self(x)) / (n * (n - 1))
    within_y = (_kernel_sum(y, y) - _kernel_of_self(y)) / (m * (m - 1))
    return within_x + within_y - 2 * _kernel_sum(x, y) / (n * m)


def _kernel(inner_products: Tensor, d: int) -> Tensor:
    return (inner_products / d + 1) ** 3


def _kernel_sum(x: Tensor, y: Tensor) -> float:
    """The sum of k over all pairs."""
    total = 0.0
    for a in map(Tensor.double, x.split(BLOCK)):
        for b in map(Tensor.double, y.split(BLOCK)):
            total += _kernel(a @ b.T, x.shape[1]).sum().item()
    return total


def _kernel_of_self(x: Tensor) -> float:
    """The sum of k over the pairs of a clip with itself, which would bias the mean."""
    return sum(_kernel(a.double().square().sum(1), x.shape[1]).sum().item() for a in x.split(BLOCK))

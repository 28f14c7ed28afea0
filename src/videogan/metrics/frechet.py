"""The Frechet distance of Gaussians fitted to features: FID on frames' features, FVD on clips' (SCIENCE D4, D5)."""

import torch
from torch import Tensor

from videogan.metrics.features import require_features

BLOCK = 1024  # clips in float64 at a time


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (d,) and covariance (d, d), divided by n - 1, of `features` (n, d), both float64.

    With n <= d the covariance is singular and the distance depends more on n than on the clips. ValueError if n < 2.
    """
    n, d = require_features(features, "features", at_least=2).shape
    mean = features.mean(0, dtype=torch.float64)
    scatter = mean.new_zeros(d, d)
    for block in features.split(BLOCK):
        centred = block.double() - mean
        scatter += centred.T @ centred
    return mean, scatter / (n - 1)


def frechet_distance(mean_x: Tensor, cov_x: Tensor, mean_y: Tensor, cov_y: Tensor) -> float:
    """|m_x - m_y|^2 + Tr(S_x + S_y - 2 (S_x S_y)^(1/2)) (Dowson and Landau 1982, eq. 4), squared as FID and FVD are.

    Means (d,), covariances (d, d), symmetric. Tr (S_x S_y)^(1/2) is the sum of the roots of the eigenvalues of
    S_x^(1/2) S_y S_x^(1/2), which is symmetric, so no root is complex; eigenvalues and distances that rounding made
    negative count as 0. The distance is biased by the number of clips: compare only at equal n.
    Raises ValueError if sizes differ or a number is not finite.
    """
    d = len(mean_x)
    shapes = [tuple(t.shape) for t in (mean_x, cov_x, mean_y, cov_y)]
    if shapes != [(d,), (d, d), (d,), (d, d)]:
        raise ValueError(f"frechet_distance needs shapes (d,), (d, d), (d,), (d, d), got {shapes}.")
    mean_x, cov_x, mean_y, cov_y = (t.double() for t in (mean_x, cov_x, mean_y, cov_y))
    if not all(torch.isfinite(t).all() for t in (mean_x, cov_x, mean_y, cov_y)):
        raise ValueError("frechet_distance needs finite means and covariances, got NaN or infinity.")
    variances, axes = torch.linalg.eigh(cov_x)
    root_x = axes * variances.clamp(min=0).sqrt() @ axes.T
    roots = torch.linalg.eigvalsh(root_x @ cov_y @ root_x).clamp(min=0).sqrt()
    distance = (mean_x - mean_y).square().sum() + cov_x.trace() + cov_y.trace() - 2 * roots.sum()
    return distance.clamp(min=0).item()

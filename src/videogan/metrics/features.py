"""Features before a distance is computed: their checks, their unit."""

import torch
from torch import Tensor


def require_features(features: Tensor, name: str, at_least: int = 1) -> Tensor:
    """Return `features` unchanged; raises ValueError unless they are finite (n, d) with n >= `at_least` and d >= 1."""
    if features.ndim != 2 or not features.shape[1]:
        raise ValueError(
            f"{name} must be features (n, d), got {tuple(features.shape)}; flatten the features of each clip."
        )
    if len(features) < at_least:
        raise ValueError(f"{name} must hold at least {at_least} clips, got {len(features)}; evaluate more clips.")
    if not torch.isfinite(features).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity; check the network that computed them.")
    return features


def root_mean_square(features: Tensor) -> float:
    """The root of the mean square of all entries of features (..., n, d); 1 if all are 0, so that it can be a unit."""
    return features.double().square().mean().sqrt().item() or 1.0

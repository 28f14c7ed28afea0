"""Checks of features before a distance is computed."""

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

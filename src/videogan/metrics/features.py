"""What a set of features must be before a distance is taken of it."""

import torch
from torch import Tensor


def require_features(features: Tensor, name: str, at_least: int = 1) -> Tensor:
    """`features` as they came, if they are (n, d) with n >= `at_least`, d >= 1 and all finite; ValueError otherwise."""
    if features.ndim != 2 or not features.shape[1]:
        raise ValueError(
            f"{name} must be a set of features (n, d), got {tuple(features.shape)}; flatten what each clip has."
        )
    if len(features) < at_least:
        raise ValueError(f"{name} must hold at least {at_least} clips, got {len(features)}; evaluate more of them.")
    if not torch.isfinite(features).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity; look at the network that made them.")
    return features

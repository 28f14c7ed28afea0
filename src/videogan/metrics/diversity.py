"""Diversity within classes, which the inception score and S3's ReS do not see (SCIENCE D3)."""

import math

import torch
from torch import Tensor
from torch.nn.functional import pdist

from videogan.metrics.features import require_features

COLLAPSED = 0.2
"""A class has collapsed if its fakes differ by less than this fraction of the distance between its real clips."""


def class_diversity(
    fake_features: Tensor, fake_labels: Tensor, real_features: Tensor, real_labels: Tensor, n_classes: int
) -> Tensor:
    """Mean euclidean distance between the fakes of each class divided by that between its real clips, float64 (K,).

    Features (., d) of one network and labels (.,) from 0 to K - 1. 0: all fakes of the class are equal; 1: they differ
    as much as real clips; above 1: more, for example noise. NaN if a class has fewer than 2 fakes or 2 real clips, or
    if its real clips do not differ.
    """
    for features, labels, name in ((fake_features, fake_labels, "fake"), (real_features, real_labels, "real")):
        require_features(features, f"{name}_features")
        if labels.shape != (len(features),):
            raise ValueError(f"{name}_labels must be ({len(features)},), one per clip, got {tuple(labels.shape)}.")
        if not 0 <= labels.min() <= labels.max() < n_classes:
            raise ValueError(f"{name}_labels must be in 0 to {n_classes - 1}, got {labels.min()} to {labels.max()}.")
    if fake_features.shape[1] != real_features.shape[1]:
        raise ValueError(
            "fakes and real clips must have as many features, "
            f"got {fake_features.shape[1]} and {real_features.shape[1]}; use one network for both."
        )
    fake = _spread_by_class(fake_features, fake_labels, n_classes)
    real = _spread_by_class(real_features, real_labels, n_classes)
    return torch.where(real == 0, math.nan, fake / real)


def _spread_by_class(features: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """Mean distance over the pairs of each class (K,); NaN for a class without pairs."""
    return torch.stack([pdist(features[labels == k].double()).mean() for k in range(n_classes)])

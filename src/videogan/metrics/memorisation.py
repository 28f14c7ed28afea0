"""Memorisation: are fakes nearer to training clips than real test clips are? (SCIENCE D6; MVT-GAN fig. 6)"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from videogan.metrics.features import require_features

Distance = Literal["cosine", "euclidean"]

BLOCK = 256  # clips in float64 at a time: 50 MB of pixels


def nearest_neighbours(
    queries: Tensor, references: Tensor, k: int, distance: Distance = "cosine"
) -> tuple[Tensor, Tensor]:
    """The `k` nearest of `references` (m, d) to each of `queries` (n, d), nearest first.

    Returns distances (n, k), float64, and indices (n, k) into `references`, int64. `cosine` is 1 - cos, from 0 to 2;
    `euclidean` has the features' unit. A copy has distance exactly 0. Raises ValueError if k is not in 1 to m, sizes d
    differ, or, for `cosine`, the features of a clip are all 0 and so have no direction.
    """
    for features, name in ((queries, "queries"), (references, "references")):
        require_features(features, name)
        if distance == "cosine" and not features.any(1).all():
            raise ValueError(
                f"{name} must not be all 0 for cosine, got a clip that is; use euclidean or another layer."
            )
    if queries.shape[1] != references.shape[1]:
        raise ValueError(
            f"queries and references must have equally many features, got {queries.shape[1]}, {references.shape[1]}."
        )
    if not 1 <= k <= len(references):
        raise ValueError(f"k must be 1 to the number of references ({len(references)}), got {k}.")
    found = [_nearest_of_block(block, references, k, distance) for block in queries.split(BLOCK)]
    squared, indices = (torch.cat(part) for part in zip(*found, strict=True))
    return (squared / 2 if distance == "cosine" else squared.sqrt()), indices


def _nearest_of_block(queries: Tensor, references: Tensor, k: int, distance: Distance) -> tuple[Tensor, Tensor]:
    """Squared euclidean distances and indices; of unit vectors for cosine, where |a - b|^2 = 2 (1 - cos)."""
    a = _prepared(queries, distance)
    squared = a.new_empty(len(a), 0)
    indices = a.new_empty(len(a), 0, dtype=torch.int64)
    for number, block in enumerate(references.split(BLOCK)):
        b = _prepared(block, distance)
        here = a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * a @ b.T
        positions = torch.arange(len(b), device=b.device).expand_as(here) + number * BLOCK
        squared, kept = torch.cat([squared, here], 1).topk(min(k, squared.shape[1] + len(b)), largest=False)
        indices = torch.cat([indices, positions], 1).gather(1, kept)
    # The expanded square has an error of 1e-16 of the norms, so copies are not exactly 0: recompute from differences.
    columns = [(a - _prepared(references[column], distance)).square().sum(1) for column in indices.unbind(1)]
    squared, order = torch.stack(columns, 1).sort(stable=True)
    return squared, indices.gather(1, order)


def _prepared(features: Tensor, distance: Distance) -> Tensor:
    return F.normalize(features.double(), eps=0) if distance == "cosine" else features.double()


def memorisation_ratio(fake_to_train: Tensor, test_to_train: Tensor) -> float:
    """r = median distance of fakes to their nearest training clip / the same for real test clips (SCIENCE D6).

    Both are distances of `nearest_neighbours` (n, k) or only the nearest (n,). Near 1: fakes are as far from training
    clips as unseen clips are; r << 1: memorisation. NaN if the denominator is 0: half of the test clips are then copies
    of training clips and the ratio means nothing. Raises ValueError without clips or for negative or NaN distances.
    """
    fake, test = (_median_nearest(d, name) for d, name in ((fake_to_train, "fake"), (test_to_train, "test")))
    return fake / test if test else math.nan


def _median_nearest(distances: Tensor, name: str) -> float:
    if not distances.numel():
        raise ValueError(f"the median of {name}_to_train needs at least one clip, got {tuple(distances.shape)}.")
    nearest = distances.double() if distances.ndim == 1 else distances.double().amin(1)
    if not (nearest >= 0).all():  # written this way, NaN is refused too
        raise ValueError(f"{name}_to_train must be distances of 0 or more, got {nearest.min().item()}.")
    return nearest.quantile(0.5).item()

"""The generative adversarial metric of TGAN, sec. 6.5 (Im et al. 2016): two GANs, each judged by the other's discriminator."""

from typing import NamedTuple

import torch
from torch import Tensor


class DiscriminatorScores(NamedTuple):
    """What one model's discriminator says of clips, each (n,); higher is more real, in a unit of its own."""

    validation: Tensor
    """Of real clips that choose its threshold."""
    own_fakes: Tensor
    """Of its own generator's clips, which choose it too."""
    other_fakes: Tensor
    """Of the other model's."""
    test: Tensor
    """Of real clips that choose nothing."""


class GAM(NamedTuple):
    """The metric of model A against model B, and what tells whether it may be believed."""

    score: float
    """Above 1: A wins, its fakes pass B's discriminator more often than B's pass A's. gam(a, b) * gam(b, a) = 1."""
    r_test: float
    """Error of A's discriminator on real test clips over that of B's; far from 1, one of them is a weak judge."""
    threshold_a: float
    threshold_b: float


def gam(a: DiscriminatorScores, b: DiscriminatorScores) -> GAM:
    """(share of A's fakes that D_B calls real) / (share of B's fakes that D_A calls real), TGAN sec. 6.5.

    Each discriminator calls real what scores above its `best_threshold`. Shares of n are smoothed, (count + 1) / (n + 2),
    so that no count of 0 makes the ratio 0 or infinite. Raises ValueError for empty or not finite scores and as
    `best_threshold` does.
    """
    for model, scores in (("A", a), ("B", b)):
        for name, values in scores._asdict().items():
            _require_scores(values, f"{name} of {model}")
    threshold_a, threshold_b = (best_threshold(scores.validation, scores.own_fakes) for scores in (a, b))
    score = _share(b.other_fakes > threshold_b) / _share(a.other_fakes > threshold_a)
    r_test = _share(a.test <= threshold_a) / _share(b.test <= threshold_b)
    return GAM(score, r_test, threshold_a, threshold_b)


def best_threshold(real_scores: Tensor, fake_scores: Tensor) -> float:
    """The score that best parts real clips (above) from fakes, since a WGAN's or hinge critic's has no natural zero.

    `real_scores`, `fake_scores`: (n,), (m,). Of the midpoints between neighbouring scores, that of the best mean of the
    share of real clips above and of fakes below; of equally good ones the lowest. Raises ValueError for empty or not finite
    scores, or where no midpoint is better than chance: such a discriminator cannot be a judge.
    """
    real, fake = (_require_scores(*s) for s in ((real_scores, "real_scores"), (fake_scores, "fake_scores")))
    values = torch.cat([real, fake]).unique()  # sorted
    midpoints = (values[:-1] + values[1:]) / 2
    n_real_below = torch.searchsorted(real.sort().values, midpoints)
    n_fake_below = torch.searchsorted(fake.sort().values, midpoints)
    # Sum of both shares times n m: integers, so that equally good thresholds compare equal.
    quality = (len(real) - n_real_below) * len(fake) + n_fake_below * len(real)
    if not len(midpoints) or quality.max() <= len(real) * len(fake):
        raise ValueError(
            "the discriminator must part its own fakes from real clips better than chance, "
            "got none that does; compare checkpoints whose discriminators still do."
        )
    return midpoints[quality.argmax()].item()


def _require_scores(scores: Tensor, name: str) -> Tensor:
    if scores.ndim != 1 or not len(scores) or not torch.isfinite(scores).all():
        raise ValueError(f"{name} must be finite scores (n,), n >= 1, got {tuple(scores.shape)}: {scores}.")
    return scores.double()


def _share(of: Tensor) -> float:
    return (of.sum().item() + 1) / (of.numel() + 2)

"""The generative adversarial metric (TGAN, sec. 6.5; Im et al. 2016): two GANs judge each other's samples."""

from typing import NamedTuple

import torch
from torch import Tensor


class DiscriminatorScores(NamedTuple):
    """One discriminator's scores of four sets of clips, each (n,); higher is more real, the unit is arbitrary."""

    validation: Tensor
    """Real clips, used to choose the threshold."""
    own_fakes: Tensor
    """Clips of its own generator, also used to choose the threshold."""
    other_fakes: Tensor
    """Clips of the other model's generator."""
    test: Tensor
    """Real clips, not used to choose the threshold."""
    threshold: float | None = None
    """The score above which it calls a clip real: 0 if it is the logit of one cross entropy (TGAN, sec. 6.5);
    None: the `best_threshold`."""


class GAM(NamedTuple):
    """The metric of model A against model B, with values that show whether it is trustworthy."""

    score: float
    """Above 1: A wins, its fakes pass B's discriminator more often than B's pass A's. gam(a, b) * gam(b, a) = 1."""
    r_test: float
    """Error of A's discriminator on real test clips divided by B's; if far from 1, one of them is a weak judge."""
    threshold_a: float
    threshold_b: float


def gam(a: DiscriminatorScores, b: DiscriminatorScores) -> GAM:
    """(share of A's fakes that D_B calls real) / (share of B's fakes that D_A calls real), TGAN sec. 6.5.

    A discriminator calls clips real if they score above its own threshold, else its `best_threshold`. Shares are
    smoothed, (count + 1) / (n + 2), so that a count of 0 does not make the ratio 0 or infinite. Raises ValueError for
    empty or non-finite scores, and if `best_threshold` does.
    """
    for model, scores in (("A", a), ("B", b)):
        for name in ("validation", "own_fakes", "other_fakes", "test"):
            _require_scores(getattr(scores, name), f"{name} of {model}")
    threshold_a, threshold_b = (
        best_threshold(scores.validation, scores.own_fakes) if scores.threshold is None else scores.threshold
        for scores in (a, b)
    )
    score = _share(b.other_fakes > threshold_b) / _share(a.other_fakes > threshold_a)
    r_test = _share(a.test <= threshold_a) / _share(b.test <= threshold_b)
    return GAM(score, r_test, threshold_a, threshold_b)


def best_threshold(real_scores: Tensor, fake_scores: Tensor) -> float:
    """The score that best separates real clips (above) from fakes; WGAN and hinge critics have no natural zero.

    `real_scores`, `fake_scores`: (n,), (m,). Of the midpoints between neighbouring scores, the one with the best mean
    of the share of real clips above and the share of fakes below; the lowest of equally good ones. Raises ValueError
    for empty or non-finite scores, or if no midpoint is better than chance: such a discriminator cannot judge.
    """
    real, fake = (_require_scores(*s) for s in ((real_scores, "real_scores"), (fake_scores, "fake_scores")))
    values = torch.cat([real, fake]).unique()  # sorted
    midpoints = (values[:-1] + values[1:]) / 2
    n_real_below = torch.searchsorted(real.sort().values, midpoints)
    n_fake_below = torch.searchsorted(fake.sort().values, midpoints)
    # The sum of both shares times n m, an integer, so equally good thresholds compare equal.
    quality = (len(real) - n_real_below) * len(fake) + n_fake_below * len(real)
    if not len(midpoints) or quality.max() <= len(real) * len(fake):
        raise ValueError(
            "the discriminator must separate its own fakes from real clips better than chance, but no threshold does; "
            "choose checkpoints whose discriminators do."
        )
    return midpoints[quality.argmax()].item()


def _require_scores(scores: Tensor, name: str) -> Tensor:
    if scores.ndim != 1 or not len(scores) or not torch.isfinite(scores).all():
        raise ValueError(f"{name} must be finite scores (n,), n >= 1, got {tuple(scores.shape)}: {scores}.")
    return scores.double()


def _share(of: Tensor) -> float:
    return (of.sum().item() + 1) / (of.numel() + 2)

"""The Symmetric Similarity Score S3 (MVT-GAN, eq. 9) from accuracies, as fractions or percent."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from videogan.metrics.interval import Interval


def accuracy(predictions: Tensor, labels: Tensor) -> float:
    """Fraction of `predictions` (n,) that equal `labels` (n,)."""
    if predictions.shape != labels.shape or not len(labels):
        raise ValueError(
            f"accuracy needs equally many predictions and labels, at least 1, got {len(predictions)} and {len(labels)}."
        )
    return (predictions == labels).double().mean().item()


def s3_score(ser: float, res: float, rer: float) -> float:
    """S3 = sqrt((SeR / ReR) (ReS / ReR)), MVT-GAN eq. 9; NaN if ReR = 0, where S3 is undefined.

    `ser`: trained on synthetic, tested on real; `res`: trained on real, tested on synthetic; `rer`: real for both.
    """
    return math.sqrt(ser * res) / rer if rer else math.nan


def s3_chance_corrected(ser: float, res: float, rer: float, n_classes: int) -> float:
    """S3 of accuracies (fractions) rescaled so that guessing among K classes is 0: (x - 1/K) / (1 - 1/K), at least 0.

    Not the paper's score, which rewards guessing: with K = 4, SeR at chance and ReS = .96 still give S3 = .5.
    """
    if n_classes < 2:
        raise ValueError(f"chance correction needs at least 2 classes, got {n_classes}.")
    if max(ser, res, rer) > 1:
        raise ValueError(f"accuracies must be fractions, got SeR {ser}, ReS {res}, ReR {rer}; divide percent by 100.")
    chance = 1 / n_classes
    return s3_score(*(max(0.0, (x - chance) / (1 - chance)) for x in (ser, res, rer)))


def s3_of_guessing(rer: float, n_classes: int) -> float:
    """The chance floor: S3 = 1 / (K ReR), if both classifiers only guess."""
    return s3_score(1 / n_classes, 1 / n_classes, rer)


def confusion_matrix(predictions: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """Number of clips of each true class (rows) predicted as each class (columns): int64 (K, K).

    `predictions`, `labels`: integers (n,) from 0 to K - 1; ValueError otherwise.
    """
    if predictions.shape != labels.shape or labels.ndim != 1:
        raise ValueError(
            "a confusion matrix needs predictions and labels (n,) of equal length, "
            f"got {tuple(predictions.shape)} and {tuple(labels.shape)}."
        )
    for name, classes in (("predictions", predictions), ("labels", labels)):
        if len(classes) and not 0 <= classes.min() <= classes.max() < n_classes:
            raise ValueError(f"{name} must be in 0 to {n_classes - 1}, got {classes.min()} to {classes.max()}.")
    pairs = labels.long() * n_classes + predictions.long()
    return torch.bincount(pairs, minlength=n_classes**2).view(n_classes, n_classes)


def per_class_accuracy(confusion: Tensor) -> Tensor:
    """Fraction of each true class predicted correctly, float64 (K,); NaN for a class without clips.

    `confusion` (K, K): rows are true classes. For SeR's, ReS's or ReR's matrix, that accuracy by class.
    """
    return confusion.diagonal().double() / confusion.sum(1)


@dataclass(frozen=True)
class Judged:
    """What the classifiers of each seed got right; S seeds, n real clips, m synthetic clips a seed."""

    ser: Tensor
    """float64 (S, n): the share of each real clip's windows that the synthetic-trained classifier got right."""
    rer: Tensor
    """float64 (S, n): the same of the real-trained classifier."""
    res: Tensor
    """bool (S, m): the synthetic clips that the real-trained classifier got right."""
    groups: Tensor
    """int64 (n,): the group of each real clip."""
    classes: Tensor
    """int64 (m,): the class of each synthetic clip."""
    class_weights: Tensor
    """float64 (K,): the share of each class among the real clips; ReS weights its classes alike."""

    def __post_init__(self) -> None:
        shapes = [tuple(tensor.shape) for tensor in (self.ser, self.rer, self.res)]
        n_seeds, n = self.ser.shape
        if self.rer.shape != self.ser.shape or len(self.res) != n_seeds or not n or self.groups.shape != (n,):
            raise ValueError(
                "SeR and ReR need the same seeds and real clips, each with its group, and ReS the same seeds, "
                f"got (seeds, n) {shapes} for SeR, ReR, ReS and {tuple(self.groups.shape)} groups."
            )
        if self.classes.shape != self.res.shape[1:]:
            raise ValueError(f"each of {self.res.shape[1]} synthetic clips needs a class, got {len(self.classes)}.")

    @property
    def sample_weights(self) -> Tensor:
        """float64 (m,): each synthetic clip's part of ReS; they sum to 1 if each class of a real clip has one."""
        n_of_class = torch.bincount(self.classes, minlength=len(self.class_weights))
        return (self.class_weights / n_of_class.clamp(min=1))[self.classes]

    def per_seed(self) -> dict[str, Tensor]:
        """`ser`, `res`, `rer`, `s3` and `s3_chance_corrected` of each seed, float64 (S,)."""
        return _scores(self.ser.mean(1), self.res.double() @ self.sample_weights, self.rer.mean(1), self.n_classes)

    @property
    def n_classes(self) -> int:
        return len(self.class_weights)


def bootstrap_intervals(judged: Judged, seed: int = 0, n_resamples: int = 1000) -> dict[str, Interval]:
    """Percentile bootstrap over test clips (Efron and Tibshirani 1993, ch. 13): how scores vary with the test clips.

    A resample draws groups of real clips with replacement, and in each drawn group its clips with replacement, because
    the clips of a person or a scene are alike; one draw serves SeR and ReR and all seeds. Synthetic clips are drawn
    within their classes, separately for each seed, since each seed has its own. A resample's score is the mean over
    seeds of each seed's score, like the reported mean. Returns that mean with the 2.5th and 97.5th percentiles, rounded
    outwards to a resample's score, of `s3`, `ser`, `res`, `rer` and `s3_chance_corrected`. Differences between the
    classifiers of the seeds are not included; `seed_interval` measures those.

    If a seed's ReR is 0 in a resample (for the corrected score: not above chance), that resample's score is undefined:
    it counts as below the low and above the high bound, and a bound is NaN if more than 2.5 % of resamples are
    undefined. The bounds of accuracies on a single real clip are NaN, and so are those of a score that uses them.
    """
    draws = torch.Generator().manual_seed(seed)
    of_real = _counts_of_groups(judged.groups, n_resamples, draws)
    shares = of_real / of_real.sum(1, keepdim=True)
    if len(judged.groups) == 1:
        shares = torch.full_like(shares, math.nan)
    weights = judged.sample_weights
    res = [(_counts_within(judged.classes, n_resamples, draws) * weights) @ right.double() for right in judged.res]
    resampled = _scores(judged.ser @ shares.T, torch.stack(res), judged.rer @ shares.T, judged.n_classes)
    point = judged.per_seed()
    return {name: _percentile_interval(point[name].mean().item(), scores.mean(0)) for name, scores in resampled.items()}


def whole_interval(over_seeds: Interval, over_clips: Interval, highest: float = math.inf) -> Interval:
    """The 95 % interval that covers test clips and classifier seeds: the two margins are independent, so they add up
    as squares; limited to 0 to `highest`. With one seed it covers the test clips only.
    """
    mean = over_seeds.mean
    margin = 0.0 if math.isnan(over_seeds.low) else mean - over_seeds.low
    low, high = (
        mean + side * math.hypot(bound - mean, margin) for side, bound in ((-1, over_clips.low), (1, over_clips.high))
    )
    # max and min would take a NaN for a bound.
    return Interval(mean, low if math.isnan(low) else max(0.0, low), high if math.isnan(high) else min(highest, high))


def _counts_within(strata: Tensor, n_resamples: int, generator: torch.Generator) -> Tensor:
    """How often each clip (n,) is drawn if each stratum's clips are drawn with replacement: float64 (resamples, n)."""
    return _counts(strata, torch.bincount(strata).expand(n_resamples, -1), generator)


def _counts_of_groups(groups: Tensor, n_resamples: int, generator: torch.Generator) -> Tensor:
    """The same if groups are drawn first, as many as there are: float64 (resamples, n)."""
    _, groups = groups.unique(return_inverse=True)
    sizes = torch.bincount(groups)
    drawn = torch.randint(len(sizes), (n_resamples, len(sizes)), generator=generator)
    n_drawn = torch.zeros(n_resamples, len(sizes), dtype=torch.int64).scatter_add_(1, drawn, torch.ones_like(drawn))
    return _counts(groups, n_drawn * sizes, generator)


def _counts(strata: Tensor, n_drawn: Tensor, generator: torch.Generator) -> Tensor:
    """Draw `n_drawn` (resamples, strata) clips of each stratum with replacement; counts, float64 (resamples, n)."""
    order, sizes = strata.argsort(stable=True), torch.bincount(strata)
    first = sizes.cumsum(0) - sizes
    n_resamples, n_strata = n_drawn.shape
    stratum = torch.arange(n_strata).repeat(n_resamples).repeat_interleave(n_drawn.flatten())
    resample = torch.arange(n_resamples).repeat_interleave(n_drawn.sum(1))
    place = (torch.rand(len(stratum), generator=generator, dtype=torch.float64) * sizes[stratum]).long()
    cell = resample * len(strata) + order[first[stratum] + place]
    return torch.bincount(cell, minlength=n_resamples * len(strata)).double().view(n_resamples, -1)


def _scores(ser: Tensor, res: Tensor, rer: Tensor, n_classes: int) -> dict[str, Tensor]:
    """All scores of `bootstrap_intervals` for many accuracies at once, all of one shape."""
    if n_classes < 2:
        raise ValueError(f"chance correction needs at least 2 classes, got {n_classes}.")
    chance = 1 / n_classes
    above_chance = (((x - chance) / (1 - chance)).clamp(min=0) for x in (ser, res, rer))
    return {
        "s3": _s3(ser, res, rer),
        "ser": ser,
        "res": res,
        "rer": rer,
        "s3_chance_corrected": _s3(*above_chance),
    }


def _s3(ser: Tensor, res: Tensor, rer: Tensor) -> Tensor:
    return torch.where(rer == 0, math.nan, (ser * res).sqrt() / rer)


def _percentile_interval(mean: float, resampled: Tensor) -> Interval:
    undefined = resampled.isnan()
    low = resampled.masked_fill(undefined, -math.inf).quantile(0.025, interpolation="lower").item()
    high = resampled.masked_fill(undefined, math.inf).quantile(0.975, interpolation="higher").item()
    return Interval(mean, *(bound if math.isfinite(bound) else math.nan for bound in (low, high)))

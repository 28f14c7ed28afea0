"""The Symmetric Similarity Score S3 (MVT-GAN, eq. 9) from accuracies, as fractions or percent."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from videogan.metrics.interval import Interval

# 0.975 quantiles of Student's t for 1, 2, ... degrees of freedom (from any table).
T_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
MAX_SEEDS = len(T_QUANTILES) + 1


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


def seed_interval(values: Sequence[float]) -> Interval:
    """Mean of 1 to 10 `values`, one per classifier seed, and Student's 95 % interval of the mean, NaN for one seed."""
    n = len(values)
    if not 1 <= n <= MAX_SEEDS:
        raise ValueError(f"an interval needs 1 to {MAX_SEEDS} seeds, got {n}.")
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, math.nan, math.nan)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    margin = T_QUANTILES[n - 2] * math.sqrt(variance / n)
    return Interval(mean, mean - margin, mean + margin)


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


def bootstrap_intervals(
    ser_correct: Tensor,
    res_correct: Tensor,
    rer_correct: Tensor,
    n_classes: int,
    seed: int = 0,
    n_resamples: int = 1000,
) -> dict[str, Interval]:
    """Percentile bootstrap over test clips (Efron and Tibshirani 1993, ch. 13): how scores vary with the test clips.

    `*_correct`: bool (seeds, n), which test clips the classifiers of each seed predicted correctly. One draw of real
    test clips, with replacement, serves SeR and ReR and all seeds. Synthetic clips are drawn separately for each seed,
    since each seed has its own synthetic set. A resample's score is the mean over seeds of each seed's score, like the
    reported mean. Returns that mean with the 2.5th and 97.5th percentiles, rounded outwards to a resample's score, of
    `s3`, `ser`, `res`, `rer` and `s3_chance_corrected`. Differences between the classifiers of the seeds are not
    included; `seed_interval` measures those.

    If a seed's ReR is 0 in a resample (for the corrected score: not above chance), that resample's score is undefined:
    it counts as below the low and above the high bound, and a bound is NaN if more than 2.5 % of resamples are
    undefined. The bounds of an accuracy on a single clip are NaN, and so are those of a score that uses it.
    """
    _require_correct(ser_correct, res_correct, rer_correct)
    draws = torch.Generator().manual_seed(seed)
    of_real = _resample_counts(ser_correct.shape[1], n_resamples, draws)
    of_synthetic = [_resample_counts(res_correct.shape[1], n_resamples, draws) for _ in res_correct]
    resampled = _scores(
        torch.stack([_resampled_accuracy(correct, of_real) for correct in ser_correct]),
        torch.stack([_resampled_accuracy(c, counts) for c, counts in zip(res_correct, of_synthetic, strict=True)]),
        torch.stack([_resampled_accuracy(correct, of_real) for correct in rer_correct]),
        n_classes,
    )
    ser, res, rer = (correct.double().mean(1) for correct in (ser_correct, res_correct, rer_correct))
    point = _scores(ser, res, rer, n_classes)
    return {name: _percentile_interval(point[name].mean().item(), scores.mean(0)) for name, scores in resampled.items()}


def _require_correct(ser_correct: Tensor, res_correct: Tensor, rer_correct: Tensor) -> None:
    shapes = [tuple(correct.shape) for correct in (ser_correct, res_correct, rer_correct)]
    if any(correct.dtype != torch.bool or correct.ndim != 2 for correct in (ser_correct, res_correct, rer_correct)):
        raise ValueError(f"*_correct must be bool (seeds, n test clips), got {shapes} of {ser_correct.dtype}.")
    if shapes[0] != shapes[2] or shapes[0][0] != shapes[1][0] or not all(map(all, shapes)):
        raise ValueError(
            "SeR and ReR need the same seeds and real test clips, ReS the same seeds, each at least one seed and clip, "
            f"got (seeds, n) {shapes[0]} for SeR, {shapes[1]} for ReS, {shapes[2]} for ReR."
        )


def _resample_counts(n: int, n_resamples: int, generator: torch.Generator) -> Tensor:
    """How often each of `n` clips is drawn in each resample of size n: float32 (resamples, n), exact below 2^24."""
    drawn = torch.randint(n, (n_resamples, n), generator=generator)
    return torch.zeros(n_resamples, n).scatter_add_(1, drawn, torch.ones(1).expand_as(drawn))


def _resampled_accuracy(correct: Tensor, counts: Tensor) -> Tensor:
    """Accuracy of one seed's `correct` (n,) in each resample (resamples,); NaN for a single clip."""
    n = len(correct)
    return (counts @ correct.cpu().float()).double() / n if n > 1 else torch.full((len(counts),), math.nan).double()


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

"""Confusion matrices against hand-computed ones; bootstrap intervals against limits, closed forms and coverage."""

import math

import pytest
import torch

from videogan.metrics.s3 import (
    accuracy,
    bootstrap_intervals,
    confusion_matrix,
    per_class_accuracy,
    s3_chance_corrected,
    s3_score,
)

NAMES = {"s3", "ser", "res", "rer", "s3_chance_corrected"}


def right(rate, n_seeds, n, seed=0):
    """bool (n_seeds, n), each true with probability `rate`."""
    return torch.rand(n_seeds, n, generator=torch.Generator().manual_seed(seed)) < rate


def exactly(*n_right, n):
    """bool (seeds, n) of which the first `n_right` are true."""
    return torch.stack([torch.arange(n) < k for k in n_right])


def test_the_confusion_matrix_has_true_classes_as_rows_and_its_trace_is_the_accuracy():
    predictions, labels = torch.tensor([0, 1, 1, 2, 2, 2]), torch.tensor([0, 0, 1, 2, 2, 1])
    confusion = confusion_matrix(predictions, labels, 3)
    assert confusion.dtype == torch.int64
    assert confusion.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 2]]
    assert confusion.trace() / 6 == pytest.approx(accuracy(predictions, labels))


def test_a_class_without_clips_has_no_accuracy_and_a_class_never_predicted_has_zero():
    confusion = confusion_matrix(torch.tensor([0, 0, 0]), torch.tensor([0, 0, 1]), 3)
    assert confusion.shape == (3, 3)
    by_class = per_class_accuracy(confusion)
    assert by_class[:2].tolist() == [1, 0]
    assert by_class[2].isnan()


def test_class_accuracies_weighted_by_clips_are_the_accuracy():
    generator = torch.Generator().manual_seed(0)
    predictions, labels = torch.randint(5, (2, 200), generator=generator)
    weights = labels.bincount(minlength=5) / 200
    by_class = per_class_accuracy(confusion_matrix(predictions, labels, 5))
    assert (weights * by_class).sum().item() == pytest.approx(accuracy(predictions, labels))


def test_classes_out_of_range_and_other_lengths_are_refused():
    with pytest.raises(ValueError, match="predictions must be in 0 to 1, got 0 to 2"):
        confusion_matrix(torch.tensor([0, 2]), torch.tensor([0, 1]), 2)
    with pytest.raises(ValueError, match=r"got \(1,\) and \(2,\)"):
        confusion_matrix(torch.tensor([0]), torch.tensor([0, 1]), 2)


def test_each_mean_is_the_mean_over_seeds_of_that_seeds_score():
    n = 20
    ser, res, rer = (8, 14), (10, 12), (16, 19)
    means = bootstrap_intervals(exactly(*ser, n=n), exactly(*res, n=n), exactly(*rer, n=n), 4)
    assert means.keys() == NAMES
    fractions = [[k / n for k in triple] for triple in zip(ser, res, rer, strict=True)]
    assert means["s3"].mean == pytest.approx(sum(s3_score(*f) for f in fractions) / 2)
    assert means["s3_chance_corrected"].mean == pytest.approx(sum(s3_chance_corrected(*f, 4) for f in fractions) / 2)
    assert [means[name].mean for name in ("ser", "res", "rer")] == pytest.approx([11 / 20, 11 / 20, 17.5 / 20])


def test_an_accuracys_interval_is_the_binomials():
    # 200 clips, half of them right: 0.5 +- 1.96 sqrt(0.25 / 200).
    half, all_right = exactly(100, n=200), exactly(200, n=200)
    interval = bootstrap_intervals(half, all_right, all_right, 2, n_resamples=20_000)["ser"]
    margin = 1.96 * math.sqrt(0.25 / 200)
    assert interval.low == pytest.approx(0.5 - margin, abs=0.006)
    assert interval.high == pytest.approx(0.5 + margin, abs=0.006)


def test_ser_and_rer_are_judged_on_the_same_drawn_clips_so_that_their_agreement_narrows_s3():
    real = right(0.7, 3, 50)
    all_right = torch.ones_like(real)
    agreeing = bootstrap_intervals(real, all_right, real, 4)["s3"]
    apart = bootstrap_intervals(real, all_right, right(0.7, 3, 50, seed=9), 4)["s3"]
    assert agreeing.high - agreeing.low < 0.7 * (apart.high - apart.low)


def test_more_seeds_narrow_res_of_separate_clips_but_not_ser_of_shared_clips():
    def width(interval):
        return interval.high - interval.low

    one, nine = torch.ones(1, 1, dtype=torch.bool), torch.ones(9, 1, dtype=torch.bool)
    clips = right(0.5, 1, 400)
    single = bootstrap_intervals(clips & one, clips & one, clips | one, 2)
    many = bootstrap_intervals(clips & nine, clips & nine, clips | nine, 2)
    assert width(many["ser"]) == pytest.approx(width(single["ser"]), abs=1e-9)
    assert width(many["res"]) == pytest.approx(width(single["res"]) / 3, rel=0.15)


def test_intervals_cover_the_true_accuracy_in_about_95_of_100_draws():
    draws = range(300)
    covered = 0
    for draw in draws:
        interval = bootstrap_intervals(
            *(right(0.6, 1, 100, seed=3 * draw + k) for k in range(3)), 2, seed=draw, n_resamples=300
        )["res"]
        covered += interval.low <= 0.6 <= interval.high
    assert 0.9 < covered / len(draws) < 0.99


def test_intervals_depend_only_on_the_seed_and_contain_their_mean():
    correct = [right(rate, 3, 60, seed=k) for k, rate in enumerate((0.5, 0.6, 0.9))]
    first, again, other = (bootstrap_intervals(*correct, 4, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    assert all(i.low <= i.mean <= i.high for i in first.values())


def test_an_undefined_score_has_neither_mean_nor_bounds_while_accuracies_keep_theirs():
    none, half = exactly(0, n=40), exactly(20, n=40)
    intervals = bootstrap_intervals(half, half, none, 2)
    assert all(map(math.isnan, intervals["s3"]))
    assert all(map(math.isnan, intervals["s3_chance_corrected"]))
    assert intervals["rer"] == (0, 0, 0)
    assert all(map(math.isfinite, intervals["ser"]))


def test_bounds_are_nan_only_if_many_resamples_are_undefined():
    # With k right of n, ReR is 0 in (1 - k/n)^n of the resamples: e^-6 = 0.2 % and e^-1 = 37 %.
    half = exactly(30, n=60)
    few, many = (bootstrap_intervals(half, half, exactly(k, n=60), 2)["s3"] for k in (6, 1))
    assert few.low < few.mean < few.high < math.inf
    assert math.isfinite(many.mean)
    assert math.isnan(many.low)
    assert math.isnan(many.high)


def test_one_test_clip_has_an_accuracy_but_no_bounds():
    one, many = exactly(1, n=1), exactly(20, n=40)
    intervals = bootstrap_intervals(one, many, one, 2)
    assert intervals["ser"].mean == intervals["rer"].mean == 1
    assert all(math.isnan(intervals[name].low) for name in ("s3", "ser", "rer", "s3_chance_corrected"))
    assert math.isfinite(intervals["res"].low)


def test_real_clips_of_unequal_number_no_clips_and_fractions_are_refused():
    a, b = exactly(2, n=4), exactly(2, n=5)
    with pytest.raises(ValueError, match=r"\(1, 4\) for SeR, \(1, 4\) for ReS, \(1, 5\) for ReR"):
        bootstrap_intervals(a, a, b, 2)
    with pytest.raises(ValueError, match="at least one seed and clip"):
        bootstrap_intervals(a[:, :0], a, a[:, :0], 2)
    with pytest.raises(ValueError, match="must be bool"):
        bootstrap_intervals(a.float(), a, a, 2)
    with pytest.raises(ValueError, match="at least 2 classes, got 1"):
        bootstrap_intervals(a, a, a, 1)

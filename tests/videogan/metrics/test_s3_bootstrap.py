"""Confusion matrices against hand-computed ones; bootstrap intervals against limits, closed forms and coverage."""

import math

import pytest
import torch

from videogan.metrics.interval import Interval
from videogan.metrics.s3 import (
    Judged,
    accuracy,
    bootstrap_intervals,
    confusion_matrix,
    per_class_accuracy,
    s3_chance_corrected,
    s3_score,
    whole_interval,
)
from videogan.metrics.seed_interval import seed_interval

NAMES = {"s3", "ser", "res", "rer", "s3_chance_corrected"}


def right(rate, n_seeds, n, seed=0):
    """bool (n_seeds, n), each true with probability `rate`."""
    return torch.rand(n_seeds, n, generator=torch.Generator().manual_seed(seed)) < rate


def exactly(*n_right, n):
    """bool (seeds, n) of which the first `n_right` are true."""
    return torch.stack([torch.arange(n) < k for k in n_right])


def judged(ser, res, rer, n_classes=2, groups=None, classes=None, class_weights=None) -> Judged:
    """Results of clips, each its own group unless `groups` are given; synthetic clips take turns in their classes."""
    n, m = ser.shape[1], res.shape[1]
    return Judged(
        ser=ser.double(),
        rer=rer.double(),
        res=res,
        groups=torch.arange(n) if groups is None else groups,
        classes=torch.arange(m) % n_classes if classes is None else classes,
        class_weights=torch.full((n_classes,), 1 / n_classes, dtype=torch.float64)
        if class_weights is None
        else class_weights,
    )


def intervals(ser, res, rer, n_classes=2, seed=0, n_resamples=1000, **given) -> dict[str, Interval]:
    return bootstrap_intervals(judged(ser, res, rer, n_classes, **given), seed, n_resamples)


def width(interval: Interval) -> float:
    return interval.high - interval.low


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
    classes = torch.arange(n) % 4
    means = intervals(exactly(*ser, n=n), exactly(*res, n=n), exactly(*rer, n=n), 4, classes=classes)
    assert means.keys() == NAMES
    fractions = [[k / n for k in triple] for triple in zip(ser, res, rer, strict=True)]
    assert means["s3"].mean == pytest.approx(sum(s3_score(*f) for f in fractions) / 2)
    assert means["s3_chance_corrected"].mean == pytest.approx(sum(s3_chance_corrected(*f, 4) for f in fractions) / 2)
    assert [means[name].mean for name in ("ser", "res", "rer")] == pytest.approx([11 / 20, 11 / 20, 17.5 / 20])


def test_an_accuracys_interval_is_the_binomials():
    # 200 clips, half of them right: 0.5 +- 1.96 sqrt(0.25 / 200).
    half, all_right = exactly(100, n=200), exactly(200, n=200)
    interval = intervals(half, all_right, all_right, 2, n_resamples=20_000)["ser"]
    margin = 1.96 * math.sqrt(0.25 / 200)
    assert interval.low == pytest.approx(0.5 - margin, abs=0.006)
    assert interval.high == pytest.approx(0.5 + margin, abs=0.006)


def test_ser_and_rer_are_judged_on_the_same_drawn_clips_so_that_their_agreement_narrows_s3():
    real = right(0.7, 3, 50)
    all_right = torch.ones_like(real)
    agreeing = intervals(real, all_right, real, 4)["s3"]
    apart = intervals(real, all_right, right(0.7, 3, 50, seed=9), 4)["s3"]
    assert agreeing.high - agreeing.low < 0.7 * (apart.high - apart.low)


def test_more_seeds_narrow_res_of_separate_clips_but_not_ser_of_shared_clips():
    one, nine = torch.ones(1, 1, dtype=torch.bool), torch.ones(9, 1, dtype=torch.bool)
    clips = right(0.5, 1, 400)
    single = intervals(clips & one, clips & one, clips | one, 2)
    many = intervals(clips & nine, clips & nine, clips | nine, 2)
    assert width(many["ser"]) == pytest.approx(width(single["ser"]), abs=1e-9)
    assert width(many["res"]) == pytest.approx(width(single["res"]) / 3, rel=0.15)


def test_intervals_cover_the_true_accuracy_in_about_95_of_100_draws():
    draws = range(200)
    covered = 0
    for draw in draws:
        interval = intervals(*(right(0.6, 1, 100, seed=3 * draw + k) for k in range(3)), 2, seed=draw, n_resamples=200)[
            "res"
        ]
        covered += interval.low <= 0.6 <= interval.high
    assert 0.9 < covered / len(draws) < 0.99


def test_intervals_depend_only_on_the_seed_and_contain_their_mean():
    correct = [right(rate, 3, 60, seed=k) for k, rate in enumerate((0.5, 0.6, 0.9))]
    first, again, other = (intervals(*correct, 4, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    assert all(i.low <= i.mean <= i.high for i in first.values())


def test_an_undefined_score_has_neither_mean_nor_bounds_while_accuracies_keep_theirs():
    none, half = exactly(0, n=40), exactly(20, n=40)
    found = intervals(half, half, none, 2)
    assert all(map(math.isnan, found["s3"]))
    assert all(map(math.isnan, found["s3_chance_corrected"]))
    assert found["rer"] == (0, 0, 0)
    assert all(map(math.isfinite, found["ser"]))


def test_bounds_are_nan_only_if_many_resamples_are_undefined():
    # With k right of n, ReR is 0 in (1 - k/n)^n of the resamples: e^-6 = 0.2 % and e^-1 = 37 %.
    half = exactly(30, n=60)
    few, many = (intervals(half, half, exactly(k, n=60), 2)["s3"] for k in (6, 1))
    assert few.low < few.mean < few.high < math.inf
    assert math.isfinite(many.mean)
    assert math.isnan(many.low)
    assert math.isnan(many.high)


def test_one_test_clip_has_an_accuracy_but_no_bounds():
    one, many = exactly(1, n=1), exactly(20, n=40)
    found = intervals(one, many, one, 2)
    assert found["ser"].mean == found["rer"].mean == 1
    assert all(math.isnan(found[name].low) for name in ("s3", "ser", "rer", "s3_chance_corrected"))
    assert math.isfinite(found["res"].low)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rer": torch.ones(1, 5)}, r"got \(seeds, n\) \[\(1, 4\), \(1, 5\), \(1, 4\)\] for SeR, ReR, ReS"),
        ({"rer": torch.ones(2, 4)}, r"the same seeds and real clips"),
        ({"res": torch.ones(2, 4, dtype=torch.bool)}, r"ReS the same seeds"),
        ({"groups": torch.arange(5)}, r"and \(5,\) groups"),
        ({"ser": torch.ones(1, 0), "rer": torch.ones(1, 0), "groups": torch.arange(0)}, r"each with its group"),
        ({"classes": torch.zeros(3, dtype=torch.int64)}, "each of 4 synthetic clips needs a class, got 3"),
    ],
)
def test_unequal_seeds_clips_groups_or_classes_are_refused(change, message):
    ones = torch.ones(1, 4)
    with pytest.raises(ValueError, match=message):
        judged(**{"ser": ones, "rer": ones, "res": ones.bool()} | change)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="at least 2 classes, got 1"):
        intervals(*[exactly(2, n=4)] * 3, 1)


def test_res_with_balanced_classes_is_plain_accuracy_and_else_weights_classes_like_real_clips():
    res = right(0.6, 3, 60)
    ones = torch.ones(3, 8)
    balanced = judged(ones, res, ones, 4).per_seed()["res"]
    torch.testing.assert_close(balanced, res.double().mean(1))
    weights = torch.tensor([0.5, 0.3, 0.2, 0.0], dtype=torch.float64)
    by_class = torch.stack([res[:, torch.arange(60) % 4 == label].double().mean(1) for label in range(4)], 1)
    weighted = judged(ones, res, ones, 4, class_weights=weights).per_seed()["res"]
    torch.testing.assert_close(weighted, by_class @ weights)


def test_shares_of_windows_count_as_their_fraction():
    half = torch.full((2, 6), 0.5)
    found = intervals(half, exactly(6, 6, n=6), torch.ones(2, 6))
    assert found["ser"] == pytest.approx((0.5, 0.5, 0.5)), "each clip is half right, so no resample differs"
    assert found["s3"].mean == pytest.approx(math.sqrt(0.5))


def test_groups_of_equal_clips_give_the_interval_of_as_many_single_clips():
    single = right(0.6, 2, 30)
    res = right(0.7, 2, 40, seed=5)
    alone = intervals(single, res, single | right(0.5, 2, 30, seed=7))
    for copies in (2, 5):
        ser, rer = (x.repeat_interleave(copies, 1) for x in (single, single | right(0.5, 2, 30, seed=7)))
        groups = torch.arange(30).repeat_interleave(copies)
        together = intervals(ser, res, rer, groups=groups)
        for name in ("ser", "rer"):
            assert together[name] == pytest.approx(alone[name], abs=0.02), "copies add nothing"
            as_if_single = intervals(ser, res, rer)[name]
            assert width(as_if_single) == pytest.approx(width(alone[name]) / math.sqrt(copies), rel=0.2), (
                "as single clips they would narrow the interval"
            )


def test_mirrored_copies_in_the_group_of_their_original_do_not_narrow_the_interval():
    clips, groups = right(0.6, 3, 40), torch.arange(40) // 4
    res, copied = right(0.6, 3, 40, seed=3), clips.repeat(1, 2)
    alone = intervals(clips, res, clips, groups=groups, n_resamples=4000)["ser"]
    mirrored = intervals(copied, res, copied, groups=groups.repeat(2), n_resamples=4000)["ser"]
    assert mirrored.mean == pytest.approx(alone.mean)
    # Groups are drawn alike; only the drawing within groups has twice the clips.
    between = clips.double().view(3, 10, 4).mean((0, 2)).std(correction=0).item()
    assert width(mirrored) > 0.8 * width(alone)
    assert width(mirrored) > 2 * 1.9 * between / math.sqrt(10), "not below what the groups alone give"


def test_the_numbering_of_groups_does_not_matter_and_singletons_are_plain_clips():
    clips, res = right(0.6, 1, 40), right(0.6, 1, 40, seed=3)
    plain = intervals(clips, res, clips)
    assert intervals(clips, res, clips, groups=7 * torch.arange(40)) == plain
    single = intervals(clips, res, clips, groups=torch.arange(40).flip(0))
    assert single["ser"] == pytest.approx(plain["ser"], abs=0.03)
    assert single["ser"].mean == plain["ser"].mean


def test_one_interval_of_unlike_groups_covers_the_true_accuracy_in_about_95_of_100_draws():
    # 20 groups of 5 clips whose rates differ: a bootstrap over clips alone would cover far fewer.
    rng, covered = torch.Generator().manual_seed(0), {"groups": 0, "clips": 0}
    n_draws = 200
    for draw in range(n_draws):
        rates = torch.rand(20, generator=rng).repeat_interleave(5)
        clips = (torch.rand(100, generator=rng) < rates)[None]
        for name, groups in (("groups", torch.arange(20).repeat_interleave(5)), ("clips", None)):
            interval = intervals(clips, clips, clips, groups=groups, seed=draw, n_resamples=200)["ser"]
            covered[name] += interval.low <= 0.5 <= interval.high
    assert 0.9 < covered["groups"] / n_draws <= 0.99
    assert covered["clips"] / n_draws < 0.85


def test_groups_of_unequal_size_count_by_their_clips():
    # One group of 9 right clips, one of a single wrong clip: resamples are 1, .9 or 0 right.
    clips, groups = exactly(9, n=10), torch.tensor([0] * 9 + [1])
    interval = intervals(clips, exactly(5, n=10), clips, groups=groups)["ser"]
    assert (interval.mean, interval.low, interval.high) == (pytest.approx(0.9), 0, 1)


def test_the_margins_of_clips_and_seeds_add_up_as_squares():
    whole = whole_interval(Interval(0.5, 0.5 - 0.03, 0.5 + 0.03), Interval(0.5, 0.5 - 0.04, 0.5 + 0.12))
    assert whole == pytest.approx((0.5, 0.45, 0.5 + math.hypot(0.03, 0.12)))


def test_with_one_seed_or_equal_seeds_the_interval_is_that_of_clips():
    over_clips = Interval(0.5, 0.4, 0.7)
    for over_seeds in (seed_interval([0.5]), seed_interval([0.5, 0.5, 0.5])):
        assert whole_interval(over_seeds, over_clips) == pytest.approx(over_clips)


def test_an_interval_stays_in_its_range_and_an_undefined_bound_stays_undefined():
    wide = seed_interval([0.1, 0.9])
    assert whole_interval(wide, Interval(0.5, 0.4, 0.6), highest=1.0) == (0.5, 0, 1)
    assert whole_interval(wide, Interval(0.5, 0.4, 0.6)).high > 1, "S3 may exceed 1"
    one_sided = whole_interval(wide, Interval(0.5, math.nan, 0.6), highest=1.0)
    assert (math.isnan(one_sided.low), one_sided.high) == (True, 1)
    undefined = whole_interval(seed_interval([math.nan, 0.5]), Interval(math.nan, math.nan, math.nan), highest=1.0)
    assert all(map(math.isnan, undefined))

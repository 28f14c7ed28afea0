"""S3 on published accuracies, at its limits, and its intervals."""

import math

import pytest
import torch

from videogan.metrics.s3 import accuracy, s3_chance_corrected, s3_of_guessing, s3_score

# (SeR, ReS, ReR) in percent and S3 to six digits: rows of MVT-GAN's Table 2, recomputed by hand.
PUBLISHED = [
    (61.11, 32.83, 95.83, 0.467401),
    (80.31, 62.53, 95.83, 0.739482),
    (88.10, 71.43, 95.83, 0.827803),
    (48.55, 54.91, 85.9, 0.601073),
    (15.85, 13.86, 91.4, 0.162162),
    (44.36, 29.61, 76.82, 0.471781),
]


@pytest.mark.parametrize(("ser", "res", "rer", "s3"), PUBLISHED)
def test_s3_gives_the_published_scores_from_percent_and_from_fractions(ser, res, rer, s3):
    assert s3_score(ser, res, rer) == pytest.approx(s3, abs=5e-7)
    assert s3_score(ser / 100, res / 100, rer / 100) == pytest.approx(s3, abs=5e-7)


def test_s3_of_copies_of_real_clips_is_one_and_synthetic_clips_may_score_above_one():
    assert s3_score(0.8, 0.8, 0.8) == pytest.approx(1)
    assert s3_score(0.8, 1.0, 0.8) > 1


def test_s3_is_zero_if_one_side_fails_and_undefined_if_real_classification_fails():
    assert s3_score(0, 0.9, 0.9) == s3_score(0.9, 0, 0.9) == 0
    assert math.isnan(s3_score(0.5, 0.5, 0))


def test_chance_correction_gives_zero_for_guessing():
    assert s3_score(0.25, 0.96, 0.62) == pytest.approx(0.79, abs=0.01)
    assert s3_chance_corrected(0.25, 0.96, 0.62, n_classes=4) == 0
    assert s3_chance_corrected(0.1, 0.96, 0.62, n_classes=4) == 0
    assert s3_chance_corrected(0.9, 0.9, 0.9, n_classes=4) == pytest.approx(1)
    assert math.isnan(s3_chance_corrected(0.9, 0.9, 0.2, n_classes=4))


def test_chance_correction_refuses_percent_and_a_single_class():
    with pytest.raises(ValueError, match="fractions, got SeR 90"):
        s3_chance_corrected(90, 0.9, 0.9, n_classes=4)
    with pytest.raises(ValueError, match="at least 2 classes, got 1"):
        s3_chance_corrected(0.9, 0.9, 0.9, n_classes=1)


def test_guessing_scores_one_over_classes_times_rer():
    assert s3_of_guessing(0.8, n_classes=4) == pytest.approx(1 / (4 * 0.8))


def test_accuracy_is_the_fraction_of_right_predictions():
    assert accuracy(torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1, 2, 0])) == 0.75
    with pytest.raises(ValueError, match="got 2 and 3"):
        accuracy(torch.tensor([0, 1]), torch.tensor([0, 1, 2]))

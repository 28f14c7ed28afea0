"""The generative adversarial metric on scores small enough to count by hand."""

import math

import pytest
import torch

from videogan.metrics.gam import DiscriminatorScores, best_threshold, gam


def scores(validation, own_fakes, other_fakes, test):
    return DiscriminatorScores(*(torch.tensor(values) for values in (validation, own_fakes, other_fakes, test)))


def test_the_threshold_is_midway_between_separated_fakes_and_real_clips():
    assert best_threshold(torch.tensor([5.0, 9.0]), torch.tensor([-3.0, 1.0])) == 3


def test_the_threshold_weighs_both_kinds_equally_however_many_there_are():
    # Above 2.5: both real clips, 1 of 10 fakes. Above 3.5: 1 of 2 real clips, no fake.
    fakes = torch.tensor([0.0] * 9 + [3.2])
    assert best_threshold(torch.tensor([3.0, 4.0]), fakes) == 1.5
    # One real clip among many fakes: 3 of 4 real clips above, all fakes below.
    assert best_threshold(torch.tensor([0.0, 5, 6, 7]), torch.tensor([1.0] * 100)) == 3


def test_of_equally_good_thresholds_the_lowest_is_taken():
    # 0.5 and 2.5 both get three of four right.
    assert best_threshold(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 2.0])) == 0.5


def test_the_threshold_moves_with_the_scores_unit():
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(50, generator=generator).double() + 1, torch.randn(60, generator=generator).double()
    threshold = best_threshold(real, fake)
    assert best_threshold(8 * real - 100, 8 * fake - 100) == pytest.approx(8 * threshold - 100)


@pytest.mark.parametrize(("real", "fake"), [([0.0, 1.0], [2.0, 3.0]), ([1.0], [1.0]), ([0.0, 1.0], [0.0, 1.0])])
def test_a_discriminator_no_better_than_chance_is_refused(real, fake):
    with pytest.raises(ValueError, match="better than chance"):
        best_threshold(torch.tensor(real), torch.tensor(fake))


# Thresholds 0 and 10. D_B calls 3 of 4 of A's fakes real, D_A 1 of 4 of B's; D_A errs on 1, D_B on 2 of 6 test clips.
A = scores([1.0, 2.0], [-1.0, -2.0], [-5.0, -4.0, -3.0, 4.0], [1.0, 1, 1, 1, 1, -1])
B = scores([11.0, 12.0], [9.0, 8.0], [11.0, 12.0, 13.0, 4.0], [11.0, 11, 11, 11, 9, 9])


def test_the_score_by_hand():
    result = gam(A, B)
    assert (result.threshold_a, result.threshold_b) == (0, 10)
    assert result.score == pytest.approx((4 / 6) / (2 / 6))
    assert result.r_test == pytest.approx((2 / 8) / (3 / 8))


def test_each_judge_has_its_own_number_of_clips():
    more = A._replace(other_fakes=torch.cat([A.other_fakes, torch.full((5,), -1.0)]))
    assert gam(more, B).score == pytest.approx((4 / 6) / (2 / 11))


def test_a_against_b_is_the_reciprocal_of_b_against_a():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        a, b = (
            DiscriminatorScores(
                *(torch.randn(n, generator=generator) + shift for n, shift in ((40, 2), (50, 0), (30, 1), (20, 2)))
            )
            for _ in range(2)
        )
        one_way, other_way = gam(a, b), gam(b, a)
        assert one_way.score * other_way.score == pytest.approx(1)
        assert one_way.r_test * other_way.r_test == pytest.approx(1)


def test_a_model_scores_one_against_itself():
    assert gam(A, A)[:2] == (1, 1)


def test_the_score_is_neither_zero_nor_infinite_if_no_fake_passes():
    never = A._replace(other_fakes=torch.full((8,), -9.0))
    assert gam(never, B).score == pytest.approx((4 / 6) / (1 / 10))
    assert gam(B, never).score == pytest.approx((1 / 10) / (4 / 6))


@pytest.mark.parametrize("values", [torch.empty(0), torch.tensor([1.0, math.nan])])
def test_empty_and_undefined_scores_are_refused_by_name(values):
    with pytest.raises(ValueError, match="other_fakes of B must be finite"):
        gam(A, B._replace(other_fakes=values))


def test_a_threshold_that_the_loss_gives_is_taken_and_not_chosen():
    real, fakes = torch.tensor([1.0, 2.0]), torch.tensor([-3.0, -2.0])
    a = DiscriminatorScores(real, fakes, torch.tensor([-1.0, 0.5]), real, threshold=0.0)
    b = DiscriminatorScores(real, fakes, torch.tensor([-1.0, 0.5]), real)
    found = gam(a, b)
    assert (found.threshold_a, found.threshold_b) == (0, -0.5)
    assert found.score == 1, "of the two fakes one lies above either threshold"
    assert gam(a._replace(threshold=-9.0), b).score == pytest.approx((1 + 1) / (2 + 1))

"""Adversarial losses: their values at known scores, and the direction of their gradients."""

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from videogan.losses import (
    hinge_discriminator_loss,
    hinge_generator_loss,
    non_saturating_discriminator_loss,
    non_saturating_generator_loss,
    r1_penalty,
    wasserstein_discriminator_loss,
    wasserstein_generator_loss,
)

PAIRS = {
    "hinge": (hinge_discriminator_loss, hinge_generator_loss),
    "wasserstein": (wasserstein_discriminator_loss, wasserstein_generator_loss),
    "non-saturating": (non_saturating_discriminator_loss, non_saturating_generator_loss),
}


def test_hinge_of_an_undecided_discriminator_is_two():
    assert hinge_discriminator_loss(torch.zeros(5), torch.zeros(3, 2)) == 2


def test_logits_beyond_the_margin_cost_nothing():
    assert hinge_discriminator_loss(torch.tensor([1.0, 7.0]), torch.tensor([-1.0, -9.0])) == 0


def test_each_side_is_averaged_over_its_own_elements():
    real, fake = torch.tensor([0.5, 2.0]), torch.tensor([[0.5], [-2.0], [0.0]])
    assert torch.isclose(hinge_discriminator_loss(real, fake), torch.tensor(0.5 / 2 + 2.5 / 3))


@pytest.mark.parametrize("pair", PAIRS)
def test_the_discriminator_raises_real_and_lowers_fake_and_the_generator_raises_fake(pair: str):
    discriminator_loss, generator_loss = PAIRS[pair]
    real, fake = torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
    discriminator_loss(real, fake).backward()
    assert (real.grad < 0).all()
    assert (fake.grad > 0).all()
    fake.grad = None
    generator_loss(fake).backward()
    assert (fake.grad < 0).all()


def test_wasserstein_loss_is_the_difference_of_means_and_ignores_an_added_constant():
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([[0.5], [-2.0], [0.0]])
    assert wasserstein_discriminator_loss(real, fake) == torch.tensor(-0.5 - 2.0)
    assert torch.isclose(wasserstein_discriminator_loss(real + 7, fake + 7), torch.tensor(-2.5))
    assert wasserstein_generator_loss(fake) == 0.5


def test_minus_the_wasserstein_loss_of_the_best_linear_critic_is_the_distance_of_two_points():
    real, fake = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    critic = (real - fake)[0] / (real - fake).norm()  # 1-Lipschitz, along the line between them
    assert torch.isclose(wasserstein_discriminator_loss(real @ critic, fake @ critic), torch.tensor(-5.0))


def test_a_wasserstein_gap_of_two_thousandths_between_bf16_scores_is_not_rounded_away():
    real, fake = torch.tensor([1.0, 1.0, 1.0, 1.0078125]).bfloat16(), torch.ones(4).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert wasserstein_discriminator_loss(real, fake).item() == -0.0078125 / 4
        assert wasserstein_generator_loss(real).item() == -1 - 0.0078125 / 4


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("pair", PAIRS)
def test_losses_are_those_of_the_scores_in_fp32_at_least(pair: str, precision: torch.dtype):
    rng = torch.Generator().manual_seed(0)
    real, fake = torch.randn(7, generator=rng).to(precision), torch.randn(4, 3, generator=rng).to(precision)
    expected = torch.float64 if precision == torch.float64 else torch.float32
    discriminator_loss, generator_loss = PAIRS[pair]
    with torch.autocast("cpu", torch.bfloat16):
        losses = torch.stack([discriminator_loss(real, fake), generator_loss(fake)])
    real, fake = real.to(expected), fake.to(expected)
    assert losses.dtype == expected
    assert torch.equal(losses, torch.stack([discriminator_loss(real, fake), generator_loss(fake)]))


def test_the_normal_gan_of_an_undecided_discriminator_has_loss_ln_2_per_side():
    assert non_saturating_discriminator_loss(torch.zeros(5), torch.zeros(3, 2)).item() == pytest.approx(2 * math.log(2))
    assert non_saturating_generator_loss(torch.zeros(3, 2)).item() == pytest.approx(math.log(2))


def test_the_normal_gan_is_binary_cross_entropy_with_real_as_one():
    rng = torch.Generator().manual_seed(0)
    real, fake = 5 * torch.randn(7, generator=rng), 5 * torch.randn(4, 3, generator=rng)
    expected = binary_cross_entropy_with_logits(real, torch.ones(7)) + binary_cross_entropy_with_logits(
        fake, torch.zeros(4, 3)
    )
    assert torch.isclose(non_saturating_discriminator_loss(real, fake), expected)
    assert torch.isclose(non_saturating_generator_loss(fake), binary_cross_entropy_with_logits(fake, torch.ones(4, 3)))


def test_the_generators_gradient_does_not_vanish_if_the_discriminator_is_certain():
    fake = torch.tensor([-200.0], requires_grad=True)
    non_saturating_generator_loss(fake).backward()
    assert fake.grad == -1
    assert non_saturating_discriminator_loss(torch.tensor([1e4]), torch.tensor([-1e4])) == 0
    assert non_saturating_discriminator_loss(torch.tensor([-1e4]), torch.tensor([1e4])) == 2e4


def test_r1_is_the_mean_over_clips_of_the_squared_gradient_and_moves_the_judge_only():
    weight = torch.tensor([1.0, -2.0], requires_grad=True)
    clips = torch.tensor([[3.0, 1.0], [0.0, 2.0]], requires_grad=True)

    def judge(x: torch.Tensor) -> torch.Tensor:
        return (weight * x.square()).sum(1)

    scores, penalty = r1_penalty(judge, clips)
    assert scores.tolist() == [7.0, -8.0]
    # The slopes are 2 w x: (6, -4) and (0, -8).
    assert penalty.item() == (36 + 16 + 64) / 2
    penalty.backward()
    assert weight.grad.tolist() == [8 * 1 * (9 + 0) / 2, 8 * -2 * (1 + 4) / 2]
    assert clips.grad is None
    with torch.no_grad():
        assert r1_penalty(judge, clips)[1] == penalty

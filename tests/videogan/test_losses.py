"""The hinge game: its value at known logits, and which way it pushes."""

import torch

from videogan.losses import hinge_discriminator_loss, hinge_generator_loss


def test_hinge_of_an_undecided_discriminator_is_two():
    assert hinge_discriminator_loss(torch.zeros(5), torch.zeros(3, 2)) == 2


def test_logits_beyond_the_margin_cost_nothing():
    assert hinge_discriminator_loss(torch.tensor([1.0, 7.0]), torch.tensor([-1.0, -9.0])) == 0


def test_each_side_is_averaged_over_its_own_elements():
    real, fake = torch.tensor([0.5, 2.0]), torch.tensor([[0.5], [-2.0], [0.0]])
    assert torch.isclose(hinge_discriminator_loss(real, fake), torch.tensor(0.5 / 2 + 2.5 / 3))


def test_the_discriminator_raises_real_and_lowers_fake_and_the_generator_raises_fake():
    real, fake = torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
    hinge_discriminator_loss(real, fake).backward()
    assert (real.grad < 0).all()
    assert (fake.grad > 0).all()
    fake.grad = None
    hinge_generator_loss(fake).backward()
    assert (fake.grad < 0).all()

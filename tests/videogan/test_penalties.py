"""A critic's gradient between real and fake clips, against the gradient by hand."""

import pytest
import torch
from torch import Tensor

from videogan.penalties import gradient_norms

RNG = torch.Generator().manual_seed(0)
REAL, FAKE = (torch.randn(3, 2, 1, 2, 2, generator=RNG, dtype=torch.float64) for _ in range(2))
U = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)


def test_the_norms_are_those_of_the_gradient_at_each_clips_own_mixture():
    weight = torch.randn(8, generator=RNG, dtype=torch.float64).requires_grad_()

    def critic(videos: Tensor) -> Tensor:
        return (videos.flatten(1) ** 2 @ weight) / 2  # its gradient by x is w x

    norms = gradient_norms(critic, REAL, FAKE, U)
    mixed = REAL.flatten(1) + U[:, None] * (FAKE - REAL).flatten(1)
    assert torch.allclose(norms, (weight * mixed).norm(dim=1))
    (by_weight,) = torch.autograd.grad(norms.sum(), weight)
    by_hand = (weight * mixed**2 / (weight * mixed).norm(dim=1, keepdim=True)).sum(0)
    assert torch.allclose(by_weight, by_hand)


def test_a_flat_critic_has_norm_and_gradient_zero():
    weight = torch.zeros(8, dtype=torch.float64, requires_grad=True)
    norms = gradient_norms(lambda videos: videos.flatten(1) @ weight, REAL, FAKE, U)
    assert not norms.any()
    (by_weight,) = torch.autograd.grad((norms**2).sum(), weight)
    assert not by_weight.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_computed_in_fp32_under_autocast_and_without_gradients(dtype: torch.dtype):
    weight = torch.randn(8, 1, generator=RNG).requires_grad_()
    real, fake, u = REAL.float(), FAKE.to(dtype), U.float()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        norms = gradient_norms(lambda videos: (videos.flatten(1) @ weight).squeeze(1), real, fake, u)
    assert torch.allclose(norms, weight.norm().expand(3), rtol=1e-6)
    assert norms.requires_grad

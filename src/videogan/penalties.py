"""Penalties on a critic's gradient between real and fake clips."""

from collections.abc import Callable

import torch
from torch import Tensor

from videogan.nets.precision import without_autocast


def gradient_norms(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mixing_factors: Tensor) -> Tensor:
    """|grad_x critic(x)| (b,) at x = real + u (fake - real), u a clip's own factor (WGAN-GP, Gulrajani et al. 2017).

    critic: videos -> scores (b,); real, fake: videos (b, T, C, H, W), taken as constants; mixing_factors: (b,) in
    [0, 1]. Computed in fp32 with a graph, also under autocast and `no_grad`, so that it can be a loss.
    """
    u = mixing_factors.to(real).view(-1, *[1] * (real.ndim - 1))
    with torch.enable_grad(), without_autocast(real):
        x = torch.lerp(real.detach(), fake.detach().to(real), u).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        return gradient.flatten(1).norm(dim=1)  # unlike a root of a sum of squares, its own gradient is finite at 0

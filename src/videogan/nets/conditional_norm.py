"""Conditional batch normalisation."""

from typing import Literal

import torch
from torch import Tensor, nn

from videogan.nets.narrow_norm import conditional_batch_norm

Normalisation = Literal["batch", "none"]


class ConditionalNorm(nn.Module):
    """Batch norm whose gain and bias are linear in a condition: (1 + L_g(c)) BN(x) + L_b(c) (BigGAN; MVT-GAN fig. 4).

    L_g and L_b have no bias. norm="none" does not normalise, so that no sample depends on others.
    n_steps: frames of each condition. Each of them is normalised by its own statistics over the batch and positions, so
    that no frame learns of others (DVD-GAN).
    x: (B n_steps, C, H, W), frames of a sample in order; condition: (B, dim_condition) -> (B n_steps, C, H, W).
    """

    def __init__(self, n_channels: int, dim_condition: int, norm: Normalisation = "batch", n_steps: int = 1) -> None:
        super().__init__()
        self.n_steps = n_steps
        self.norm = nn.BatchNorm2d(n_steps * n_channels, affine=False) if norm == "batch" else nn.Identity()
        self.gain = nn.Linear(dim_condition, n_channels, bias=False)
        self.bias = nn.Linear(dim_condition, n_channels, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, bias = 1 + self.gain(condition), self.bias(condition)
        if self.n_steps == 1:
            return self._normalised(x, gain, bias)
        steps = x.unflatten(0, (-1, self.n_steps)).flatten(1, 2)
        steps = self._normalised(steps, gain.repeat(1, self.n_steps), bias.repeat(1, self.n_steps))
        return steps.unflatten(1, (self.n_steps, -1)).flatten(0, 1)

    def _normalised(self, x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        if isinstance(self.norm, nn.BatchNorm2d):
            return conditional_batch_norm(self.norm, x, gain, bias)
        return torch.addcmul(bias[:, :, None, None], gain[:, :, None, None], x)

"""Conditional batch normalisation."""

from typing import Literal

import torch
from torch import Tensor, nn

from videogan.nets.narrow_norm import conditional_batch_norm

Normalisation = Literal["batch", "none"]


class ConditionalNorm(nn.Module):
    """Batch norm whose gain and bias are linear in a condition: (1 + L_g(c)) BN(x) + L_b(c) (BigGAN; MVT-GAN fig. 4).

    L_g and L_b have no bias. norm="none" does not normalise, so that no sample depends on others.
    x: (B, C, H, W), condition: (B, dim_condition) -> (B, C, H, W).
    """

    def __init__(self, n_channels: int, dim_condition: int, norm: Normalisation = "batch") -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(n_channels, affine=False) if norm == "batch" else nn.Identity()
        self.gain = nn.Linear(dim_condition, n_channels, bias=False)
        self.bias = nn.Linear(dim_condition, n_channels, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, bias = 1 + self.gain(condition), self.bias(condition)
        if isinstance(self.norm, nn.BatchNorm2d):
            return conditional_batch_norm(self.norm, x, gain, bias)
        return torch.addcmul(bias[:, :, None, None], gain[:, :, None, None], x)

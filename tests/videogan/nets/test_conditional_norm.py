"""Conditional batch norm: its gain and bias come from the condition of the same sample."""

import torch
from torch import nn

from videogan.nets.conditional_norm import ConditionalNorm


def test_without_a_condition_it_is_plain_batch_norm():
    x = torch.randn(4, 6, 3, 3, generator=torch.Generator().manual_seed(0))
    expected = nn.BatchNorm2d(6, affine=False)(x)
    assert torch.allclose(ConditionalNorm(6, 5)(x, torch.zeros(4, 5)), expected)


def test_gain_is_one_plus_linear_and_bias_is_linear_in_the_condition():
    torch.manual_seed(0)
    norm, x, condition = ConditionalNorm(6, 5, "none"), torch.randn(4, 6, 3, 3), torch.randn(4, 5)
    gain, bias = condition @ norm.gain.weight.T, condition @ norm.bias.weight.T
    expected = (1 + gain)[:, :, None, None] * x + bias[:, :, None, None]
    assert torch.allclose(norm(x, condition), expected, atol=1e-6)


def test_without_normalisation_no_sample_depends_on_another():
    torch.manual_seed(0)
    norm, x, condition = ConditionalNorm(6, 5, "none"), torch.randn(4, 6, 3, 3), torch.randn(4, 5)
    assert torch.allclose(norm(x, condition)[:1], norm(x[:1], condition[:1]), atol=1e-6)

"""Conditional batch norm: its gain and bias come from the condition of the same sample."""

import pytest
import torch
from torch import nn

from videogan.nets.conditional_norm import ConditionalNorm, Normalisation


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


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_each_step_has_its_own_statistics(norm: Normalisation):
    torch.manual_seed(0)
    of_steps, condition = ConditionalNorm(6, 5, norm, n_steps=3), torch.randn(4, 5)
    x = torch.randn(4, 3, 6, 2, 2) * torch.tensor([1.0, 2, 3])[:, None, None, None]
    seen = of_steps(x.flatten(0, 1), condition).unflatten(0, (4, 3))
    for step in range(3):
        alone = ConditionalNorm(6, 5, norm)
        alone.gain, alone.bias = of_steps.gain, of_steps.bias
        assert torch.allclose(seen[:, step], alone(x[:, step], condition), atol=1e-5)

"""Batch norm by rows of pixels equals torch's: values, gradients and running statistics."""

import copy

import pytest
import torch
from torch import Tensor, nn

from videogan.nets.narrow_norm import conditional_batch_norm, own_batch_norm

F64 = torch.float64
MODES = pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])


def inputs(n_channels: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """x with a mean far from 0, channels last, and a gain and bias for each sample."""
    torch.manual_seed(0)
    x = (5 + torch.randn(4, n_channels, 5, 6, dtype=F64)).contiguous(memory_format=torch.channels_last)
    values = x, torch.randn(4, n_channels, dtype=F64), torch.randn(4, n_channels, dtype=F64)
    return tuple(value.requires_grad_() for value in values)


def agree(mine: Tensor, theirs: Tensor, of: list[Tensor]) -> None:
    assert torch.allclose(mine, theirs, rtol=1e-10, atol=1e-10)
    pull = torch.randn(theirs.shape, dtype=F64)
    gradients = torch.autograd.grad(mine, of, pull)
    for gradient, right in zip(gradients, torch.autograd.grad(theirs, of, pull), strict=True):
        assert torch.allclose(gradient, right, rtol=1e-9, atol=1e-10)


@MODES
@pytest.mark.parametrize("momentum", [0.1, None])
def test_conditional_norm_by_rows_equals_torch(training: bool, momentum: float | None):
    norm = nn.BatchNorm2d(3, affine=False, momentum=momentum).double()
    reference, (x, gain, bias) = copy.deepcopy(norm), inputs()
    for one in (norm, reference):
        conditional_batch_norm(one, x[:2], gain[:2], bias[:2])  # statistics to move from, and to evaluate by
        one.train(training)
    expected = gain[:, :, None, None] * reference(x) + bias[:, :, None, None]
    agree(conditional_batch_norm(norm, x, gain, bias), expected, [x, gain, bias])
    for name, value in reference.state_dict().items():
        assert torch.allclose(norm.state_dict()[name], value, rtol=1e-12), name


@MODES
def test_norm_with_its_own_gain_by_rows_equals_torch(training: bool):
    norm, (x, _, _) = nn.BatchNorm2d(3).double().train(training), inputs()
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    reference = copy.deepcopy(norm).requires_grad_(False)
    reference.weight, reference.bias = norm.weight, norm.bias
    agree(own_batch_norm(norm, x), reference(x), [x, norm.weight, norm.bias])


def test_in_bf16_statistics_stay_in_fp32():
    x, gain, bias = (value.detach().bfloat16() for value in inputs())
    norm = nn.BatchNorm2d(3, affine=False)
    value = conditional_batch_norm(norm, x, gain, bias)
    assert value.dtype == torch.bfloat16
    assert torch.allclose(norm.running_mean, 0.1 * x.float().mean((0, 2, 3)), rtol=1e-5)
    assert torch.allclose(norm.running_var, 0.9 + 0.1 * x.float().var((0, 2, 3)), rtol=1e-5)

"""The cheaper orders of operations in residual blocks over clips give the results of the papers' orders."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad, relu

from videogan.nets.volume_resblocks import DownBlock3d


def pooled(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The mean of pairs along each of the axes; one of odd size gets a zero in front, one of size 1 stays."""
    for axis in axes:
        if (size := x.shape[axis]) > 1:
            padding = [0, 0] * (x.ndim - axis - 1) + [size % 2, 0]
            x = pad(x, padding).unflatten(axis, (-1, 2)).mean(axis + 1)
    return x


@pytest.mark.parametrize("halves_time", [False, True])
@pytest.mark.parametrize("shape", [(4, 8, 8), (2, 2, 2), (1, 1, 1), (1, 6, 6), (2, 3, 3), (5, 4, 7)])
def test_a_block_convolves_then_pools(halves_time: bool, shape: tuple[int, ...]):
    torch.manual_seed(0)
    block = DownBlock3d(4, 6, n_hidden=5, halves_time=halves_time).double()
    x = torch.randn(2, 4, *shape, dtype=torch.float64, requires_grad=True)
    expected = pooled(block.conv2(relu(block.conv1(relu(x)))) + block.shortcut(x), (2, 3, 4) if halves_time else (3, 4))
    value = block(x)
    assert torch.allclose(value, expected, rtol=1e-12, atol=1e-12)
    of = [x, *block.parameters()]
    gradients = (torch.autograd.grad(result.square().sum(), of) for result in (value, expected))
    for gradient, right in zip(*gradients, strict=True):
        assert torch.allclose(gradient, right, rtol=1e-10, atol=1e-10)


def test_by_default_a_block_is_as_wide_inside_as_its_output():
    block = DownBlock3d(3, 6, preactivation=False)
    assert [tuple(layer.weight.shape[:2]) for layer in (block.conv1, block.conv2, block.shortcut)] == [
        (6, 3),
        (6, 6),
        (6, 3),
    ]

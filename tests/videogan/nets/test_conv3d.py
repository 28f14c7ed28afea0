"""3-D convolutions on inputs shorter than their kernel: torch's sums, and bf16 gradients without foreign memory."""

import pytest
import torch
from torch import nn

from videogan.nets.conv3d import Conv3d, Conv3x3x3

SHORT = [
    ((3, 1, 1), (1, 1, 1)),
    ((3, 2, 1), (1, 1, 1)),
    ((3, 1, 1), (2, 2, 2)),
    ((3, 2, 1), (2, 5, 5)),
    ((3, 1, 1), (2, 7, 7)),
    ((4, 2, 1), (2, 4, 4)),
    ((4, 2, 1), (4, 2, 4)),
    (((1, 4, 4), (1, 2, 2), (0, 1, 1)), (16, 2, 2)),
    (((3, 4, 4), (1, 2, 2), (2, 1, 1), (2, 1, 1)), (4, 2, 2)),
]
"""Kernel, stride, padding and dilation of a convolution, and frames, rows and columns of its input."""


@pytest.mark.parametrize(("layer", "shape"), [*SHORT, ((3, 1, 1), (4, 4, 4))])
@pytest.mark.parametrize("bias", [False, True])
def test_a_convolution_equals_torchs(layer: tuple, shape: tuple[int, ...], bias: bool):
    torch.manual_seed(0)
    ours, theirs = Conv3d(4, 6, *layer, bias=bias), nn.Conv3d(4, 6, *layer, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 4, *shape)
    torch.testing.assert_close(ours(x), theirs(x))


def test_a_3x3x3_convolution_keeps_every_side_or_halves_it():
    x = torch.randn(1, 2, 2, 6, 6)
    assert Conv3x3x3(2, 3, stride=1)(x).shape == (1, 3, 2, 6, 6)
    assert Conv3x3x3(2, 3, stride=2)(x).shape == (1, 3, 1, 3, 3)


@pytest.mark.parametrize(("layer", "shape"), [*SHORT, ((3, 2, 1), (4, 4, 4))])
def test_the_bf16_weight_gradient_is_the_fp32_one(layer: tuple, shape: tuple[int, ...]):
    # Plain nn.Conv3d returns uninitialised memory, or aborts, on CPUs with AVX512-BF16 and without AMX.
    torch.manual_seed(0)
    conv = Conv3d(16, 16, *layer).to(memory_format=torch.channels_last_3d)
    x = torch.randn(5, 16, *shape).to(memory_format=torch.channels_last_3d)
    gradients = []
    for enabled in (False, True):
        _fill_free_memory_with_large_numbers()
        conv.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = conv(x)
        _fill_free_memory_with_large_numbers()
        y.float().square().sum().backward()
        gradients.append(conv.weight.grad.clone())
    exact, rounded = gradients
    assert ((rounded - exact).norm() / exact.norm()).item() < 0.05


def _fill_free_memory_with_large_numbers() -> None:
    blocks = [torch.full((n,), 3e38) for n in (100, 1000, 4000, 7000, 16_000, 64_000) for _ in range(3)]
    del blocks

"""A convolution of a doubled image costs less by phases, and gives the same values and gradients."""

import pytest
import torch
from torch.nn.functional import conv2d, interpolate

from videogan.nets.upsampled_conv import upsampled_conv2d

F64 = torch.float64


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "last"])
@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (1, 2, 2, 2), (2, 3, 3, 4), (1, 5, 6, 3)], ids=str)
@pytest.mark.parametrize("n_out", [2, 3])  # 2 numbers fill 16 bytes, 3 do not
def test_values_and_gradients_are_those_of_the_doubled_image(shape: tuple, n_out: int, layout: torch.memory_format):
    torch.manual_seed(0)
    weight = torch.randn(n_out, shape[1], 3, 3, dtype=F64).contiguous(memory_format=layout)
    x = torch.randn(shape, dtype=F64).contiguous(memory_format=layout)
    inputs = [value.requires_grad_() for value in (x, weight, torch.randn(n_out, dtype=F64))]
    value = upsampled_conv2d(*inputs)
    expected = conv2d(interpolate(x, scale_factor=2), *inputs[1:], padding=1)
    assert torch.allclose(value, expected, rtol=1e-12, atol=1e-12)
    pull = torch.randn(expected.shape, dtype=F64)
    gradients = torch.autograd.grad(value, inputs, pull)
    for gradient, right in zip(gradients, torch.autograd.grad(expected, inputs, pull), strict=True):
        assert torch.allclose(gradient, right, rtol=1e-12, atol=1e-11)


def test_the_layout_of_the_image_is_kept():
    weight, bias = torch.randn(8, 4, 3, 3), torch.zeros(8)
    x = torch.randn(2, 4, 6, 6)
    assert upsampled_conv2d(x, weight, bias).is_contiguous()
    x, weight = (value.contiguous(memory_format=torch.channels_last) for value in (x, weight))
    assert upsampled_conv2d(x, weight, bias).is_contiguous(memory_format=torch.channels_last)


def test_under_autocast_it_computes_in_bf16_from_sums_of_taps_in_fp32():
    torch.manual_seed(0)
    x, weight = torch.randn(2, 8, 4, 4), torch.randn(4, 8, 3, 3, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        value = upsampled_conv2d(x, weight, torch.zeros(4))
    assert value.dtype == torch.bfloat16
    expected = conv2d(interpolate(x, scale_factor=2), weight, padding=1)
    assert (value - expected).abs().max() < 2**-6 * expected.abs().max()
    value.float().sum().backward()
    assert weight.grad.dtype == torch.float32


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "last"])
def test_a_compiler_traces_it_with_its_gradients(layout: torch.memory_format):
    torch.manual_seed(0)
    x, weight = (torch.randn(s, dtype=F64).contiguous(memory_format=layout) for s in ((2, 3, 5, 4), (2, 3, 3, 3)))
    inputs = [value.requires_grad_() for value in (x, weight, torch.randn(2, dtype=F64))]
    traced = torch.compile(upsampled_conv2d, backend="aot_eager", fullgraph=True, dynamic=False)(*inputs)
    expected = upsampled_conv2d(*inputs)
    assert torch.equal(traced, expected)
    pull = torch.randn(expected.shape, dtype=F64)
    gradients = torch.autograd.grad(traced, inputs, pull)
    for gradient, right in zip(gradients, torch.autograd.grad(expected, inputs, pull), strict=True):
        torch.testing.assert_close(gradient, right, rtol=1e-12, atol=1e-11)

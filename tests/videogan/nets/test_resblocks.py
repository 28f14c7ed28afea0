"""The cheaper orders of operations in residual blocks give the results of the papers' orders."""

import torch
from torch.nn.functional import avg_pool2d, interpolate, relu

from videogan.nets.resblocks import DownBlock, UpBlock


def test_the_shortcut_before_upsampling_equals_the_shortcut_after():
    torch.manual_seed(0)
    block, x, condition = UpBlock(6, 4, 5), torch.randn(3, 6, 5, 5), torch.randn(3, 5)
    hidden = block.conv1(interpolate(relu(block.norm1(x, condition)), scale_factor=2))
    hidden = block.conv2(relu(block.norm2(hidden, condition)))
    expected = hidden + block.shortcut(interpolate(x, scale_factor=2))
    assert torch.allclose(block(x, x, condition), expected, atol=1e-5)


def test_pooling_inside_the_convolutions_equals_pooling_after_them():
    torch.manual_seed(0)
    block, x = DownBlock(4, 6).double(), torch.randn(3, 4, 8, 8, dtype=torch.float64, requires_grad=True)
    expected = avg_pool2d(block.conv2(relu(block.conv1(relu(x)))) + block.shortcut(x), 2)
    value = block(x)
    assert torch.allclose(value, expected, rtol=1e-12, atol=1e-12)
    of = [x, *block.parameters()]
    gradients = (torch.autograd.grad(result.square().sum(), of) for result in (value, expected))
    for gradient, right in zip(*gradients, strict=True):
        assert torch.allclose(gradient, right, rtol=1e-10, atol=1e-10)


def test_the_first_block_sees_negative_pixels():
    torch.manual_seed(0)
    x = -torch.rand(2, 3, 8, 8)
    first, other = DownBlock(3, 4, preactivation=False), DownBlock(3, 4)
    other.load_state_dict(first.state_dict())
    assert not torch.allclose(first.conv1(x), first.conv1(relu(x)))
    assert not torch.allclose(first(x), other(x))


def test_equal_channels_pass_the_shortcut_untouched():
    block = DownBlock(4, 4, down=False)
    torch.nn.init.zeros_(block.conv2.weight)
    torch.nn.init.zeros_(block.conv2.bias)
    x = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(x), x)


def test_a_block_that_does_not_double_keeps_its_input_as_the_shortcut():
    torch.manual_seed(0)
    block, x, condition = UpBlock(4, 4, 5, n_steps=2, up=False), torch.randn(6, 4, 3, 3), torch.randn(3, 5)
    torch.nn.init.zeros_(block.conv2.weight)
    torch.nn.init.zeros_(block.conv2.bias)
    assert torch.equal(block(x, x, condition), x)

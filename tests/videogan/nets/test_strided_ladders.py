"""DCGAN's stacks: the size and normalisation of each layer, and where noise is added."""

import pytest
import torch
from torch import nn

from videogan.nets.layer_noise import LayerNoise
from videogan.nets.strided_ladders import Convolutions, deconvolutions

SEEDS = torch.tensor([1, 2])


def test_deconvolutions_open_a_code_and_double_every_side():
    ladder = deconvolutions(nn.ConvTranspose3d, nn.BatchNorm3d, [5, 4, 3, 2], (2, 4, 4))
    assert ladder(torch.randn(2, 5, 1, 1, 1)).shape == (2, 2, 8, 16, 16)
    assert [type(layer) for layer in ladder] == [nn.ConvTranspose3d, nn.BatchNorm3d, nn.ReLU] * 3


def convolutions(noise_before: str, norm: type[nn.Module] = nn.BatchNorm2d) -> Convolutions:
    torch.manual_seed(0)
    return Convolutions(lambda n_in, n_out: nn.Conv2d(n_in, n_out, 4, 2, 1), norm, [3, 4, 5], noise_before)


def test_convolutions_halve_every_side_and_normalise_all_but_the_first():
    ladder = convolutions("activation")
    assert ladder(torch.randn(2, 3, 16, 16), LayerNoise(0.0, None)).shape == (2, 5, 4, 4)
    assert [type(norm) for norm in ladder.norms] == [nn.Identity, nn.BatchNorm2d]


@pytest.mark.parametrize("place", ["convolution", "activation"])
def test_noise_is_added_at_the_given_place(place: str):
    ladder, x = convolutions(place, nn.Identity), torch.randn(2, 3, 16, 16)
    noise = LayerNoise(0.5, SEEDS)
    expected = x
    for convolution in ladder.convolutions:
        expected = convolution(noise(expected)) if place == "convolution" else noise(convolution(expected))
        expected = nn.functional.leaky_relu(expected, 0.2)
    assert torch.equal(ladder(x, LayerNoise(0.5, SEEDS)), expected)
    assert not torch.equal(ladder(x, LayerNoise(0.0, None)), expected)

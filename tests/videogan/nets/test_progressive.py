"""Parts of growing networks: weights of one scale, pixels of one length, groups of clips, sizes, when levels come."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import conv3d

from videogan.nets.progressive import (
    EqualisedConv3d,
    EqualisedLinear,
    Growing,
    faded,
    grown_after,
    pixel_norm,
    real_as_grown,
    resized,
    with_deviation,
)

RNG = torch.Generator().manual_seed(0)


def test_equalised_weights_are_standard_normal_and_divided_at_use():
    torch.manual_seed(0)
    convolution, linear = EqualisedConv3d(16, 24, 3), EqualisedLinear(128, 64, math.sqrt(2) / 4, bias=False)
    for weight in (convolution.weight, linear.weight):
        assert weight.std().item() == pytest.approx(1, abs=0.03)
        assert weight.mean().item() == pytest.approx(0, abs=0.03)
    assert not convolution.bias.any()
    x, z = torch.randn(2, 16, 4, 5, 6, generator=RNG), torch.randn(3, 128, generator=RNG)
    expected = conv3d(x, convolution.weight * math.sqrt(2 / (16 * 27)), padding=1)
    assert torch.allclose(convolution(x), expected, atol=1e-6)
    assert torch.allclose(linear(z), z @ linear.weight.T * math.sqrt(2 / 128) / 4, atol=1e-6)


def test_adam_moves_an_equalised_weight_by_its_rate_times_the_scale():
    torch.manual_seed(0)
    narrow, wide = EqualisedLinear(4, 8), EqualisedLinear(400, 8)
    moved = []
    for layer in (narrow, wide):
        optimiser = torch.optim.Adam(layer.parameters(), lr=0.01, betas=(0.0, 0.99))
        before = layer.weight.detach() * layer.scale
        layer(torch.ones(1, layer.in_features)).sum().backward()
        optimiser.step()
        moved.append((before - layer.weight.detach() * layer.scale).mean().item())
    assert moved == pytest.approx([0.01 * math.sqrt(2 / 4), 0.01 * math.sqrt(2 / 400)], rel=1e-3)


def test_pixel_norm_gives_each_pixel_the_length_of_ones():
    x = 100 * torch.randn(2, 7, 3, 4, 5, generator=RNG)
    normed = pixel_norm(x)
    assert torch.allclose(normed.square().sum(1), torch.full((2, 3, 4, 5), 7.0), atol=1e-4)
    assert torch.allclose(normed * x.square().mean(1, keepdim=True).sqrt(), x, rtol=1e-4)
    assert torch.equal(pixel_norm(torch.zeros(1, 7, 2)), torch.zeros(1, 7, 2))


def test_the_deviation_is_over_consecutive_clips_of_a_group():
    x = torch.randn(8, 3, 2, 2, 2, generator=RNG, dtype=torch.float64)
    channel = with_deviation(x, 4)[:, 3]
    for clips in (slice(0, 4), slice(4, 8)):
        expected = (x[clips].var(0, unbiased=False) + 1e-8).sqrt().mean()
        assert torch.allclose(channel[clips], expected.expand(4, 2, 2, 2))
        assert torch.equal(with_deviation(x[clips], 4), with_deviation(x, 4)[clips]), "of a rank with whole groups"
    assert torch.equal(with_deviation(x, 4)[:, :3], x)
    assert torch.allclose(with_deviation(x, 1)[:, 3], torch.full((), 1e-4, dtype=torch.float64))
    assert torch.equal(with_deviation(x[:6], 4)[4:], with_deviation(x[4:6], 4)), "what is left is a group too"


def test_a_map_is_averaged_down_and_repeated_up():
    x = torch.randn(2, 3, 4, 4, 4, generator=RNG)
    up = resized(x, (8, 8, 8))
    assert torch.equal(up[:, :, ::2, 1::2, ::2], x)
    assert torch.equal(resized(x, (4, 8, 8))[:, :, :, ::2, 1::2], x)
    assert torch.allclose(resized(up, (4, 4, 4)), x, atol=1e-6)
    assert torch.allclose(resized(x, (2, 4, 4)), (x[:, :, ::2] + x[:, :, 1::2]) / 2, atol=1e-6)


def test_a_fade_is_linear_and_takes_two_precisions():
    old, new = torch.randn(2, 5, generator=RNG), torch.randn(2, 5, generator=RNG)
    assert torch.equal(faded(old, new, 0.0), old)
    assert torch.allclose(faded(old, new, 0.5), (old + new) / 2)
    assert torch.allclose(faded(old, new, 1.0), new)
    assert faded(old.bfloat16(), new, 0.5).dtype == torch.float32


def test_levels_come_as_a_function_of_the_clips_seen():
    seen = {0: 1, 100: 1, 125: 1.25, 150: 1.5, 200: 2, 300: 2, 350: 2.5, 400: 3, 10_000: 3}
    assert {n: grown_after(n, 100, 3) for n in seen} == seen
    released = {4: 4_800_000 - 1_200_000, 5: 4_800_000, 6: 6_000_000, 7: 7_200_000}
    for n_levels, full in released.items():
        assert grown_after(full, 600_000, n_levels) == n_levels
        assert grown_after(full - 60_000, 600_000, n_levels) == pytest.approx(n_levels - 0.1)


def test_a_network_is_built_fully_grown_and_counted_so_on_the_meta_device():
    network = Growing(4)
    assert network.levels() == (4, 0.0)
    network.grow_to_(2.25)
    assert network.levels() == (2, 0.25)
    with torch.device("meta"):
        assert Growing(4).levels() == (4, 0.0)


def test_a_network_that_moves_leaves_on_the_cpu_how_far_it_has_grown():
    network = nn.Sequential(Growing(4), nn.Linear(2, 2))
    network[0].grow_to_(2.25)
    network.to("meta")
    assert network[1].weight.is_meta
    assert network[0].grown.device.type == "cpu"
    assert network[0].levels() == (2, 0.25)


def test_real_clips_fade_as_fakes_do():
    sizes, real = [(2, 2, 2), (4, 4, 4), (4, 8, 8)], torch.randn(2, 4, 3, 8, 8, generator=RNG)

    def at(n_whole: int, t: float) -> torch.Tensor:
        return real_as_grown(real, sizes, (n_whole, t))

    assert torch.equal(at(3, 0.0), real)
    small = real.unflatten(1, (2, 2)).unflatten(4, (2, 4)).unflatten(6, (2, 4)).mean((2, 5, 7), keepdim=True)
    assert torch.allclose(at(1, 0.0), small.expand(2, 2, 2, 3, 2, 4, 2, 4).reshape(real.shape), atol=1e-6)
    assert torch.allclose(at(1, 0.5), (at(1, 0.0) + at(2, 0.0)) / 2, atol=1e-6)
    assert torch.allclose(at(2, 0.25), 0.75 * at(2, 0.0) + 0.25 * real, atol=1e-6)

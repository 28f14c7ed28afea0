"""Noise on a discriminator's layers can be repeated, and does not depend on the rest of the batch."""

import pytest
import torch

from videogan.nets.layer_noise import LayerNoise, draw_noise_seeds

SEEDS = torch.tensor([3, 1, 4, 1])
X = torch.zeros(4, 5, 16, 16)


def test_equal_seeds_give_equal_noise_and_others_do_not():
    noise = LayerNoise(1.0, SEEDS)(X)
    assert torch.equal(noise, LayerNoise(1.0, SEEDS)(X))
    assert torch.equal(noise[1], noise[3])
    assert not torch.equal(noise[0], noise[1])


def test_each_layer_of_a_pass_has_its_own_noise():
    noise = LayerNoise(1.0, SEEDS)
    assert not torch.equal(noise(X), noise(X))


def test_noise_of_a_clip_does_not_depend_on_its_batch():
    whole, part = LayerNoise(1.0, SEEDS), LayerNoise(1.0, SEEDS[2:])
    for x in (X, torch.zeros(4, 7)):  # two layers, one after the other
        assert torch.equal(whole(x)[2:], part(x[2:]))


def test_rows_of_one_clip_share_its_seed_and_not_its_noise():
    frames = LayerNoise(1.0, SEEDS[:2])(X)  # two frames per clip
    assert torch.equal(frames[:2], LayerNoise(1.0, SEEDS[:1])(X[:2]))
    assert not torch.equal(frames[0], frames[1])


def test_noise_has_the_given_standard_deviation():
    noise = LayerNoise(0.3, draw_noise_seeds(64, torch.Generator().manual_seed(0)))(torch.zeros(64, 1000))
    assert noise.mean().abs() < 5 * 0.3 / 64_000**0.5
    assert noise.std().item() == pytest.approx(0.3, rel=0.02)


@pytest.mark.parametrize(("sigma", "seeds"), [(0.0, SEEDS), (0.2, None), (0.2, SEEDS.to("meta"))])
def test_without_sigma_or_seeds_nothing_is_added(sigma: float, seeds: torch.Tensor | None):
    assert LayerNoise(sigma, seeds)(X) is X


def test_noise_keeps_the_precision_of_its_layer():
    assert LayerNoise(0.2, SEEDS)(X.bfloat16()).dtype == torch.bfloat16

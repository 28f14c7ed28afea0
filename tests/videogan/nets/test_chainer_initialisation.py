"""TGAN's initial weights have the specified spread."""

import math

import pytest
import torch
from torch import nn

from videogan.nets.chainer_initialisation import glorot_uniform_, he_normal_, lecun_normal_, uniform_


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [(nn.Linear(400, 300), 400), (nn.Conv3d(20, 40, 4), 20 * 64), (nn.ConvTranspose1d(100, 90, 4), 90 * 4)],
)
def test_he_normal_has_variance_two_over_fan_in_and_no_bias(layer, fan_in):
    torch.manual_seed(0)
    he_normal_(layer)
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.02)
    assert layer.weight.mean().abs() < 0.01
    assert not layer.bias.any()


def test_uniform_fills_its_interval_and_does_not_change_batch_norms():
    torch.manual_seed(0)
    network = uniform_(nn.Sequential(nn.ConvTranspose2d(50, 50, 4), nn.BatchNorm2d(50)))
    assert network[0].weight.abs().max().item() == pytest.approx(0.01, rel=1e-3)
    assert network[0].weight.std().item() == pytest.approx(0.01 / math.sqrt(3), rel=0.02)
    assert not network[0].bias.any()
    assert torch.equal(network[1].weight, torch.ones(50))


def test_lecun_normal_has_variance_one_over_fan_in():
    torch.manual_seed(0)
    layer = lecun_normal_(nn.Conv2d(60, 80, 3))
    assert layer.weight.std().item() == pytest.approx(math.sqrt(1 / (60 * 9)), rel=0.02)
    assert not layer.bias.any()


def test_glorot_uniform_has_variance_two_over_both_fans_times_the_gain_squared():
    torch.manual_seed(0)
    layer = glorot_uniform_(nn.Conv3d(40, 80, 3), math.sqrt(2))
    assert layer.weight.std().item() == pytest.approx(math.sqrt(4 / (120 * 27)), rel=0.02)
    assert layer.weight.abs().max().item() == pytest.approx(math.sqrt(12 / (120 * 27)), rel=1e-3)
    assert not layer.bias.any()

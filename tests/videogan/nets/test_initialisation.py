"""Initial weights are the papers'."""

from contextlib import nullcontext

import torch
from torch import nn

from videogan.nets.initialisation import LoadedLater, initialise_


def layers() -> nn.ModuleDict:
    torch.manual_seed(0)
    return nn.ModuleDict(
        {
            "linear": nn.Linear(6, 9),
            "conv2d": nn.Conv2d(3, 8, 3),
            "conv3d": nn.Conv3d(2, 8, 2),
            "embedding": nn.Embedding(4, 6),
            "cell": nn.GRUCell(5, 7),
        }
    )


def test_orthogonal_weights_have_all_singular_values_one():
    net = initialise_(layers(), "orthogonal")
    for name in ("linear", "conv2d", "conv3d", "embedding"):
        values = torch.linalg.svdvals(net[name].weight.flatten(1))
        assert torch.allclose(values, torch.ones_like(values), atol=1e-5)


def test_xavier_does_not_change_conv3d_and_stays_in_its_range():
    before, net = layers(), initialise_(layers(), "xavier")
    assert torch.equal(net["conv3d"].weight, before["conv3d"].weight)
    assert not torch.equal(net["conv2d"].weight, before["conv2d"].weight)
    bound = (6 / (3 * 9 + 8 * 9)) ** 0.5
    assert 0.9 * bound < net["conv2d"].weight.abs().max() <= bound


def test_biases_are_zero_also_in_the_gru():
    for init in ("orthogonal", "xavier"):
        net = initialise_(layers(), init)
        for bias in (net["linear"].bias, net["conv2d"].bias, net["cell"].bias_ih, net["cell"].bias_hh):
            assert (bias == 0).all()
        bound = (6 / (5 + 21)) ** 0.5
        assert net["cell"].weight_ih.abs().max() <= bound


def test_weights_that_are_loaded_later_draw_the_same_numbers_and_are_not_made_orthogonal():
    states = []
    for wide, tall, context in ((9, 4, nullcontext()), (9, 4, LoadedLater())):
        torch.manual_seed(0)
        with context:
            network = initialise_(nn.Sequential(nn.Linear(wide, tall), nn.Linear(tall, wide)), "orthogonal")
        states.append(torch.get_rng_state())
    assert torch.equal(*states)
    assert all(torch.linalg.svdvals(layer.weight).std() > 0.1 for layer in network)

"""Spectral norm holds sigma at one, in fp32 also under autocast, with one power iteration a training forward."""

import copy

import torch
from torch import nn

from videogan.nets.spectral_norm import normalise_spectrally


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(1), nn.Linear(8 * 4, 5))


def test_sigma_is_one_after_normalisation():
    net = normalise_spectrally(network()).eval()
    for layer in (net[0], net[2]):
        assert abs(torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() - 1) < 1e-2


def test_every_layer_is_normalised_except_gru_cells_and_excluded_layers():
    net = nn.ModuleDict(
        {
            "conv": nn.Conv3d(1, 2, 3),
            "embedding": nn.Embedding(4, 3),
            "free": nn.Embedding(4, 3),
            "cell": nn.GRUCell(3, 3),
        }
    )
    normalise_spectrally(net, without=(net["free"],))
    normalised = {name for name, layer in net.items() if hasattr(layer, "parametrizations")}
    assert normalised == {"conv", "embedding"}


def test_the_weight_is_the_same_in_fp32_under_bf16_autocast():
    plain = normalise_spectrally(network())
    mixed = copy.deepcopy(plain)
    weight = plain[0].weight
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = mixed[0].weight
    assert under_autocast.dtype == torch.float32
    assert torch.equal(under_autocast, weight)
    assert torch.equal(mixed[0].parametrizations.weight[0]._u, plain[0].parametrizations.weight[0]._u)


def test_the_layer_itself_still_computes_in_bf16_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert normalise_spectrally(network())(torch.zeros(1, 3, 4, 4)).dtype == torch.bfloat16


def test_a_forward_makes_one_power_iteration_in_training_and_none_in_eval():
    net = normalise_spectrally(network())
    power = net[2].parametrizations.weight[0]
    matrix = net[2].parametrizations.weight.original.detach()
    v = power._v.clone()
    expected_u = nn.functional.normalize(matrix @ v, dim=0)
    net(torch.zeros(1, 3, 4, 4))
    assert torch.allclose(power._u, expected_u, atol=1e-6)
    after = power._u.clone()
    net.eval()(torch.zeros(1, 3, 4, 4))
    assert torch.equal(power._u, after)

"""Spectral norm holds sigma at one, in fp32 also under autocast, with one power iteration a training forward."""

import copy

import pytest
import torch
from torch import nn

from videogan.nets.layout import lay_channels_last_
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


def by_layer(net: nn.Module) -> nn.Module:
    """A copy whose layers are divided one by one, by torch's own spectral norm."""
    copied = copy.deepcopy(net)
    copied._forward_pre_hooks.clear()
    return copied


@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels last"])
def test_all_weights_at_once_equal_each_layer_alone(last: bool):
    torch.manual_seed(0)
    layers = nn.Conv3d(3, 4, 2), nn.Flatten(2), nn.Linear(8, 9), nn.Unflatten(2, (3, 3)), nn.Conv2d(4, 5, 3)
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(5, 1, bias=False)).double()
    net = normalise_spectrally(lay_channels_last_(net) if last else net)
    alone = by_layer(net)
    for x in torch.randn(3, 2, 3, 3, 3, 3, dtype=torch.float64):  # the gradients of three forwards add up
        net(x).square().sum().backward()
        alone(x).square().sum().backward()
    for name, value in alone.named_parameters():
        assert torch.allclose(net.get_parameter(name).grad, value.grad, rtol=1e-9, atol=1e-12), name
        assert net.get_parameter(name).grad.stride() == value.stride(), "the optimiser reads it without a copy"
    for name, value in alone.named_buffers():
        assert torch.allclose(net.get_buffer(name), value, rtol=1e-9, atol=1e-12), name


def test_two_forwards_before_one_backward_keep_their_own_vectors():
    net = normalise_spectrally(network().double())
    alone, x = by_layer(net), torch.randn(2, 1, 3, 4, 4, dtype=torch.float64)
    for one in (net, alone):
        (one(x[0]) * one(x[1])).sum().backward()
    for mine, theirs in zip(net.parameters(), alone.parameters(), strict=True):
        assert torch.allclose(mine.grad, theirs.grad, rtol=1e-9, atol=1e-12)


def test_a_weight_read_twice_in_a_forward_is_iterated_twice_and_none_is_left_over():
    net = normalise_spectrally(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)))
    net[1].forward = lambda x: x  # a layer that the forward does not read
    alone = by_layer(net)
    net(torch.zeros(1, 4))
    with torch.no_grad():
        net[0].parametrizations.weight.original.mul_(3)
    assert torch.linalg.matrix_norm(net[0].weight, 2) < 1.1, "a later read sees the new weight"
    alone(torch.zeros(1, 4)), alone[0].weight
    power, expected = net[0].parametrizations.weight[0], alone[0].parametrizations.weight[0]
    assert torch.allclose(power._u, expected._u, atol=1e-6)
    assert net[1].parametrizations.weight[0].divided is None

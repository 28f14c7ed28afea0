"""Initial weights of TGAN and TGANv2, whose released code is in Chainer."""

from typing import TypeAlias, TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)
Weighted: TypeAlias = nn.Linear | nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d


def he_normal_(network: Network) -> Network:
    """Draw weights from N(0, 2 / fan_in) by torch's global generator, set biases to 0 (TGAN sec. 6.2, HeNormal).

    fan_in is the product of all dimensions of a weight but the first, also for transposed convolutions, as in Chainer.
    """
    for layer in _weighted(network):
        if not layer.weight.is_meta:  # on the meta device normal_ only spends seconds importing torch's compiler
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return network


def lecun_normal_(network: Network) -> Network:
    """Draw weights from N(0, 1 / fan_in) by torch's global generator, set biases to 0: Chainer's default."""
    for layer in _weighted(network):
        if not layer.weight.is_meta:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
    return network


def glorot_uniform_(network: Network, gain: float = 1.0) -> Network:
    """Draw weights from U(-a, a), a = gain sqrt(6 / (fan_in + fan_out)), by torch's global generator; biases 0."""
    for layer in _weighted(network):
        nn.init.xavier_uniform_(layer.weight, gain)
    return network


def uniform_(network: Network, bound: float = 0.01) -> Network:
    """Draw weights from U(-bound, bound) by torch's global generator, set biases to 0 (TGAN sec. 6.2)."""
    for layer in _weighted(network):
        nn.init.uniform_(layer.weight, -bound, bound)
    return network


def _weighted(network: nn.Module) -> list[Weighted]:
    """The layers with weights, after setting their biases to 0."""
    layers = [layer for layer in network.modules() if isinstance(layer, Weighted)]
    for layer in layers:
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return layers

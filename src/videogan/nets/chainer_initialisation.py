"""Initial weights as TGAN drew them."""

from typing import TypeAlias, TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)
Weighted: TypeAlias = nn.Linear | nn.Conv3d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d


def he_normal_(network: Network) -> Network:
    """Weights N(0, 2 / fan_in), biases 0, from torch's global generator; returns `network` (TGAN sec. 6.2, HeNormal).

    fan_in is the product of all of a weight's dimensions but the first, of transposed convolutions too, as in Chainer.
    """
    for layer in _weighted(network):
        if not layer.weight.is_meta:  # where nothing is drawn, but torch's normal_ imports its compiler for seconds
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return network


def uniform_(network: Network, bound: float = 0.01) -> Network:
    """Weights U(-bound, bound), biases 0, from torch's global generator; returns `network` (TGAN sec. 6.2)."""
    for layer in _weighted(network):
        nn.init.uniform_(layer.weight, -bound, bound)
    return network


def _weighted(network: nn.Module) -> list[Weighted]:
    """The layers with weights; their biases are 0 from here on."""
    layers = [layer for layer in network.modules() if isinstance(layer, Weighted)]
    for layer in layers:
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return layers

"""Initial weights of whole networks."""

from typing import Literal, TypeVar

from torch import nn

Initialisation = Literal["orthogonal", "xavier"]
Network = TypeVar("Network", bound=nn.Module)


def initialise_(network: Network, init: Initialisation) -> Network:
    """Initialise `network` in place from torch's global generator; returns it.

    orthogonal: every convolution, linear and embedding (BigGAN). xavier: the same, uniform, but 3-D convolutions keep
    torch's default (MVT-GAN's released code). Biases of these layers are 0. GRU cells are Xavier-uniform with zero
    biases either way.
    """
    for layer in network.modules():
        if isinstance(layer, nn.GRUCell):
            for parameter in layer.parameters():
                nn.init.xavier_uniform_(parameter) if parameter.ndim > 1 else nn.init.zeros_(parameter)
        elif isinstance(layer, nn.Linear | nn.Conv2d | nn.Conv3d | nn.Embedding):
            if init == "orthogonal":
                nn.init.orthogonal_(layer.weight)
            elif not isinstance(layer, nn.Conv3d):
                nn.init.xavier_uniform_(layer.weight)
            else:
                continue
            if not isinstance(layer, nn.Embedding) and layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network

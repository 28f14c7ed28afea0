"""Initial weights of whole networks."""

from typing import Any, Literal, TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

Initialisation = Literal["orthogonal", "xavier"]
Network = TypeVar("Network", bound=nn.Module)


class LoadedLater(TorchFunctionMode):
    """While active, orthogonal weights are not made orthogonal: for networks whose weights are loaded afterwards.

    The QR decompositions take 14 s of a core at MVT-GAN's size. All else, also torch's random numbers, stays.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.linalg.qr:
            matrix = args[0]  # (rows, columns), at least as many rows
            return matrix, matrix[: matrix.shape[1]]
        return func(*args, **(kwargs or {}))


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

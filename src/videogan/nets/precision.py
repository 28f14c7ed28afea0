"""Full precision for some operations of mixed-precision training."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn


def without_autocast(x: Tensor) -> AbstractContextManager:
    """A context without autocast: operations on the device of `x` keep the precision of their inputs."""
    # the meta device, where models are only counted, has no autocast
    return nullcontext() if x.device.type == "meta" else torch.autocast(x.device.type, enabled=False)


def full_precision(layer: nn.Module, x: Tensor) -> Tensor:
    """layer(x) at the precision of the layer's weights, also under autocast: a score in bf16 has two digits only."""
    with without_autocast(x):
        outputs: Tensor = layer(x.to(next(layer.parameters()).dtype))
        return outputs

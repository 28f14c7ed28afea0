"""Islands of full precision inside mixed-precision training."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def without_autocast(x: Tensor) -> AbstractContextManager:
    """A context in which operations on the device of `x` keep the precision of their inputs, whatever autocast says."""
    # the meta device, on which models are only counted, has no autocast to turn off
    return nullcontext() if x.device.type == "meta" else torch.autocast(x.device.type, enabled=False)

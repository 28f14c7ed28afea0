"""torch.compile for the calls of networks in training; scores and samples call the networks themselves."""

import shutil
from typing import cast

import torch
from torch import nn

from videogan.config import ConfigurationError


def compiled(network: nn.Module, device: torch.device) -> nn.Module:
    """A module whose calls run `network` as fused kernels: the same weights, equal results but for rounding.

    `network` itself, its names in checkpoints and its own calls stay as they are. The first call of each kind compiles
    for seconds to minutes. Shapes are fixed in a training, so each is compiled by itself. Raises ConfigurationError if
    nothing here can compile for `device`.
    """
    if lacking := _lacking(device):
        raise ConfigurationError(f"loop.compile needs {lacking}; install it, or leave loop.compile out.")
    from torch._dynamo import config

    config.optimize_ddp = False  # a data-parallel wrapper gets the same kernels, not those of a network split in parts
    return cast(nn.Module, torch.compile(network, dynamic=False))


def _lacking(device: torch.device) -> str:
    """What torch's compiler lacks on this machine for `device`; empty if nothing."""
    from torch.utils._triton import has_triton_package

    if device.type == "cuda":
        return "" if has_triton_package() else "the package triton on each machine with GPUs"
    from torch._inductor import config

    found = [cxx for cxx in config.cpp.cxx if cxx is not None and shutil.which(cxx)]
    return "" if found else "a C++ compiler, such as g++, on each machine that trains on CPUs"

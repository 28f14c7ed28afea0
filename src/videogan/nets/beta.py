"""Batch norms without their shift."""

from typing import TypeVar

from torch.nn.modules.batchnorm import _BatchNorm

Norm = TypeVar("Norm", bound=_BatchNorm)


def without_beta_(norm: Norm) -> Norm:
    """Remove beta from a batch norm, which then only scales by gamma (TGAN's released code); returns `norm`."""
    norm.register_parameter("bias", None)
    return norm

"""Batch norms without their shift."""

from typing import TypeVar

from torch.nn.modules.batchnorm import _BatchNorm

Norm = TypeVar("Norm", bound=_BatchNorm)


def without_beta_(norm: Norm) -> Norm:
    """Takes beta out of a batch norm, which then scales by gamma alone (TGAN's released code); returns `norm`."""
    norm.register_parameter("bias", None)
    return norm

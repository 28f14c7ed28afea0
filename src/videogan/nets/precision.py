"""The precision of networks' operations: fp32, TF32 or bf16, and full precision for some of them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Whether fp32 convolutions and matrix products on GPUs may use TF32, 10 bits of mantissa; for the whole process.

    After it the setting is as before; `videogan.nets` starts with no TF32.
    """
    backends: Any = torch.backends  # torch types cudnn as a plain module
    parts = backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul
    before = [part.fp32_precision for part in parts]
    try:
        for part in parts:
            part.fp32_precision = "tf32" if allowed else "ieee"
        yield
    finally:
        for part, precision in zip(parts, before, strict=True):
            part.fp32_precision = precision


def arithmetic(precision: Literal["fp32", "bf16"], device: torch.device) -> AbstractContextManager[object]:
    """A context in which the operations of networks compute in bf16 where autocast says so; none for fp32."""
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, torch.bfloat16)


@contextmanager
def fixed_shapes() -> Iterator[None]:
    """Within, every batch has one shape, so cuDNN may try its kernels at the first and keep the fastest."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextmanager
def _full_digits(device: str) -> Iterator[None]:
    with torch.autocast(device, enabled=False), tf32(False):
        yield


def without_autocast(x: Tensor) -> AbstractContextManager:
    """A context without autocast and TF32: operations on the device of `x` keep the precision of their inputs."""
    if x.device.type == "meta":  # where models are only counted: it has no autocast, but a mode that stands for it
        return torch._C.DisableTorchFunction()
    return _full_digits(x.device.type) if x.is_cuda else torch.autocast(x.device.type, enabled=False)


def full_precision(layer: nn.Module, x: Tensor) -> Tensor:
    """layer(x) at the precision of the layer's weights, also under autocast: a score in bf16 has two digits only."""
    with without_autocast(x):
        outputs: Tensor = layer(x.to(next(layer.parameters()).dtype))
        return outputs

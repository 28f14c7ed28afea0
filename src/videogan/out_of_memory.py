"""Lack of memory: which errors mean it, and batches that are computed in halves where it occurs."""

import logging
import re
from collections.abc import Callable

import torch
from torch import Tensor

LOGGER = logging.getLogger(__name__)
# Only torch's CUDA allocator has an exception class for it.
_WORDS = re.compile(
    "out of memory"  # the CUDA driver, NCCL, other accelerators
    "|can't allocate memory|not enough memory"  # torch on CPUs
    "|_ALLOC(ATION)?_FAILED"  # cuBLAS, cuDNN, cuSOLVER, cuSPARSE, cuFFT
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of Python or torch, on any device, means a lack of memory."""
    return (
        isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or bool(_WORDS.search(str(error)))
    )


def in_halves(compute: Callable[..., Tensor], *batches: Tensor) -> Tensor:
    """`compute(*batches)`; where memory does not suffice, the same over halves of the batch, joined.

    batches: (n, ...) each; compute: rows to rows (n, ...), each from its own row, so halves change no more than the
    rounding. Raises the error if one row does not fit either.
    """
    n = len(batches[0])
    try:
        return compute(*batches)
    except (MemoryError, RuntimeError) as error:
        if n < 2 or not is_out_of_memory(error):
            raise
        LOGGER.warning("out of memory with %d clips at a time; continuing with %d", n, n - n // 2)
    # Outside of the handler, which keeps the tensors of the failed attempt alive.
    halves = zip(*(batch.tensor_split(2) for batch in batches), strict=True)
    return torch.cat([in_halves(compute, *half) for half in halves])

"""What a stretch of computation costs, counted from its operations: on the meta device without memory or arithmetic."""

import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import flop_registry


class Counted(TorchDispatchMode):
    """Counts, while active, FLOPs, the bytes that operations move, and the peak memory of the tensors made meanwhile.

    flops: twice the multiply-adds of convolutions and matrix products, by torch's own formulas.
    bytes_moved: each operation reads its inputs and writes its outputs; views move nothing. Fused kernels move less.
    peak_bytes: of all storages alive at once that were made inside. A kernel's own workspace is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops, self.bytes_moved, self.peak_bytes, self._alive = 0, 0, 0, 0
        self._seen: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        results = func(*args, **kwargs)
        # torch's FlopCounterMode keeps recomputed tensors alive, which would spoil the peak.
        if func._overloadpacket in flop_registry:
            self.flops += flop_registry[func._overloadpacket](*args, **kwargs, out_val=results)
        given, made = [*_tensors(args), *_tensors(kwargs.values())], [*_tensors((results,))]
        old = {id(tensor.untyped_storage()) for tensor in given}
        new = [tensor for tensor in made if id(tensor.untyped_storage()) not in old]
        if new or func._schema.is_mutable:
            self.bytes_moved += sum(tensor.numel() * tensor.element_size() for tensor in (*given, *made))
        for tensor in new:
            self._count(tensor.untyped_storage())
        return results

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, n_bytes = id(storage), storage.nbytes()
        if key in self._seen:
            return

        def freed(_: object) -> None:
            self._alive -= n_bytes
            del self._seen[key]

        self._seen[key] = weakref.ref(storage, freed)
        self._alive += n_bytes
        self.peak_bytes = max(self.peak_bytes, self._alive)


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among an operation's arguments or results, also in lists."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


class Bf16OnMeta(TorchFunctionMode):
    """What autocast to bf16 does on a GPU, for the meta device, which has no autocast.

    Convolutions and matrix products cast their inputs down; the functions of `_FP32` cast them up.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        for names, dtype in ((_BF16, torch.bfloat16), (_FP32, torch.float32)):
            if name in names:
                args, kwargs = tree_map(lambda value, to=dtype: _cast(value, to), (args, kwargs))
        return func(*args, **kwargs)


_BF16 = {
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "linear", "matmul",
    "__matmul__", "__rmatmul__", "mm", "mv", "bmm", "baddbmm", "addmm", "einsum", "gru_cell",
    "scaled_dot_product_attention",
}  # fmt: skip
_FP32 = {
    "softmax", "log_softmax", "cross_entropy", "binary_cross_entropy_with_logits", "softplus", "exp", "log", "pow",
    "rsqrt", "norm", "sum", "cumsum", "prod",
}  # fmt: skip


def _cast(value: Any, dtype: torch.dtype) -> Any:
    is_number = isinstance(value, Tensor) and value.is_floating_point() and value.dtype != dtype
    return value.to(dtype) if is_number else value

"""Spectral normalisation of whole networks, in full precision."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm

from videogan.nets.precision import without_autocast

NORMALISED = (nn.Linear, nn.Conv2d, nn.Conv3d, nn.Embedding)
"""The layers that spectral normalisation divides; a GRU cell is not among them (MVT-GAN's released code)."""


class SpectralNorm(_SpectralNorm):
    """W / sigma(W), sigma by one power iteration per training forward (Miyato et al. 2018, eq. 8), never autocast.

    Under autocast torch's own runs its matrix-vector products in bf16: sigma is right to two digits only.
    weight: (out, ...), seen as (out, rest).
    """

    divided: Tensor | None = None
    """W / sigma of the forward that runs, if its network computed it with the others'; the first read takes it."""

    def forward(self, weight: Tensor) -> Tensor:
        divided, self.divided = self.divided, None
        if divided is not None:
            return divided
        with without_autocast(weight):
            return super().forward(weight)

    def _power_method(self, weight_mat: Tensor, n_power_iterations: int) -> None:
        if not weight_mat.is_meta:  # a network that is only counted has no singular vectors
            super()._power_method(weight_mat, n_power_iterations)


def normalise_spectrally(network: nn.Module, without: tuple[nn.Module, ...] = ()) -> nn.Module:
    """Add a SpectralNorm to every layer of NORMALISED in `network`, except those in `without`; returns `network`.

    Call it after initialisation: its vectors start from a draw of torch's global generator and 15 power iterations
    on the current weights. A training forward of `network` divides all its weights at once.
    """
    for layer in list(network.modules()):
        if isinstance(layer, NORMALISED) and all(layer is not other for other in without):
            parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight))
    network.register_forward_pre_hook(_divide_all)
    network.register_forward_hook(_forget_unread, always_call=True)
    return network


def _divide_all(network: nn.Module, inputs: object) -> None:
    """Before a training forward: divide all weights in one node of the graph, a fifth of the operations."""
    if not network.training:
        return
    norms, weights = [], []
    for layer in network.modules():
        if not (isinstance(layer, parametrize.ParametrizationList) and isinstance(layer[0], SpectralNorm)):
            continue
        if layer.training:
            norms.append(layer[0])
            weights.append(layer.original)
    if weights:
        with without_autocast(weights[0]):
            for norm, divided in zip(norms, _Divide.apply(norms, *weights), strict=True):
                norm.divided = divided


def _forget_unread(network: nn.Module, inputs: object, outputs: object) -> None:
    for layer in network.modules():
        if isinstance(layer, SpectralNorm):
            layer.divided = None


class _Divide(torch.autograd.Function):
    """Weights W_i -> W_i / sigma_i, after one power iteration of each; u and v are constants to the gradient.

    With v the unit vector along W^T u, sigma = u^T W v is the length of W^T u. The gradient of W / sigma is
    (G - <G, W / sigma> u v^T) / sigma (Miyato et al. 2018, eq. 12).
    """

    @staticmethod
    def forward(ctx: Any, norms: Sequence[SpectralNorm], *weights: Tensor) -> tuple[Tensor, ...]:
        eps = norms[0].eps
        rows = [_rows(weight) for weight in weights]
        vs = [_in_memory_order(norm._v, weight) for norm, weight in zip(norms, weights, strict=True)]
        us, _ = _units([row.mv(v) for row, v in zip(rows, vs, strict=True)], eps)
        vs, sigmas = _units([row.t().mv(u) for row, u in zip(rows, us, strict=True)], eps)
        for norm, weight, u, v in zip(norms, weights, us, vs, strict=True):
            norm._u.copy_(u)
            _store_in_order_(norm._v, weight, v)
        divided = tuple(torch._foreach_div(weights, sigmas))
        ctx.set_materialize_grads(False)
        ctx.n = len(weights)
        ctx.save_for_backward(*divided, *us, *vs, *sigmas)
        return divided

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        saved, n = ctx.saved_tensors, ctx.n
        results: list[Tensor | None] = []
        for g, w, u, v, sigma in zip(gradients, *(saved[i * n : (i + 1) * n] for i in range(4)), strict=True):
            if g is None:
                results.append(None)
                continue
            rows = _rows_like(g, w)
            inner = torch.dot(rows.reshape(-1), _rows(w).reshape(-1))
            results.append(_weight_of((rows - torch.outer(u * inner, v)).div_(sigma), w))
        return None, *results


def _units(vectors: list[Tensor], eps: float) -> tuple[list[Tensor], list[Tensor]]:
    """Vectors divided by their lengths, and the lengths."""
    lengths = list(torch._foreach_norm(vectors))
    return list(torch._foreach_div(vectors, torch._foreach_clamp_min(lengths, eps))), lengths


def _is_channels_last(weight: Tensor) -> bool:
    return weight.dim() > 2 and not weight.is_contiguous()


def _rows(weight: Tensor) -> Tensor:
    """(out, rest), its columns in the order of memory: a view of contiguous and of channels-last weights."""
    return (weight.movedim(1, -1) if _is_channels_last(weight) else weight).flatten(1)


def _rows_like(gradient: Tensor, weight: Tensor) -> Tensor:
    """`_rows` of the gradient, its columns in the order of the weight's."""
    return (gradient.movedim(1, -1) if _is_channels_last(weight) else gradient).flatten(1)


def _weight_of(rows: Tensor, weight: Tensor) -> Tensor:
    """The inverse of `_rows`."""
    if not _is_channels_last(weight):
        return rows.view(weight.shape)
    return rows.view(weight.movedim(1, -1).shape).movedim(-1, 1)


def _in_memory_order(v: Tensor, weight: Tensor) -> Tensor:
    """v, whose columns are those of weight.flatten(1), in the order of `_rows`."""
    return v.view(weight.shape[1:]).movedim(0, -1).flatten() if _is_channels_last(weight) else v


def _store_in_order_(v: Tensor, weight: Tensor, ordered: Tensor) -> None:
    """v = the inverse of `_in_memory_order`."""
    if _is_channels_last(weight):
        v.view(weight.shape[1:]).copy_(ordered.view(weight.movedim(1, -1).shape[1:]).movedim(-1, 0))
    else:
        v.copy_(ordered)

"""Constraints that keep a discriminator Lipschitz, applied to its parameters after the optimiser step."""

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

_SINGLE_PRECISION_LIMIT = 16.0
"""Up to this (s_max / bound)^2 a Gram matrix in fp32 keeps the clipped values right to 1e-6; above it, fp64 does."""


@torch.no_grad()
def clip_singular_values_(weight: Tensor, bound: float = 1.0) -> Tensor:
    """Singular Value Clipping: no singular value of `weight`, seen as (out, rest), stays above `bound` (TGAN sec. 4).

    Equal to W <- U min(S, bound) V^T, without the SVD: squared singular values are eigenvalues of the Gram matrix of
    the smaller side. A Cholesky factorisation certifies that none exceeds the bound; only where it fails are the k
    offending directions U_k found and W <- W - U_k (1 - bound / s_k) U_k^T W. Values within 2e-6 (fp64: 1e-12) above
    the bound stay.

    weight: (out, ...) with any memory layout, changed in place and returned; bf16 and fp16 are computed in fp32 and
    rounded once, so rounding may lift a value above the bound again. Raises ValueError for a vector, a bound that is
    not positive, and a weight that is not finite.
    """
    if weight.ndim < 2:
        raise ValueError(
            f"weight must have at least 2 dimensions, got shape {tuple(weight.shape)}; clip vectors elsewhere."
        )
    if not bound > 0:
        raise ValueError(f"bound must be positive, got {bound}.")
    matrix = weight.detach().flatten(1)  # a view of a contiguous weight, a copy of any other
    if matrix.dtype not in (torch.float32, torch.float64):
        matrix = matrix.float()
    _clip_(matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T, bound)
    if matrix.data_ptr() != weight.data_ptr():
        weight.copy_(matrix.view(weight.shape))
    return weight


@torch.no_grad()
def clip_batch_norm_gamma_(batch_norm: _BatchNorm) -> None:
    """Clips gamma to [0.01 u, u], u = sqrt(running_var + eps): batch norm is 1-Lipschitz in eval mode (TGAN Table 2).

    The lower end, from the released code, also lifts negative gammas. Raises ValueError without gamma or running
    statistics.
    """
    if batch_norm.weight is None or batch_norm.running_var is None:
        raise ValueError(
            "batch_norm must have gamma and running statistics; build it affine=True, track_running_stats=True."
        )
    upper = (batch_norm.running_var + batch_norm.eps).sqrt()
    batch_norm.weight.copy_(batch_norm.weight.clamp(0.01 * upper, upper))


def _clip_(wide: Tensor, bound: float) -> None:
    """Clips the singular values of `wide` (m, n), m <= n, in place."""
    gram = _lower_gram(wide)
    if not gram.isfinite().all():
        raise ValueError("weight must be finite and its squares must not overflow; clip after a finite optimiser step.")
    limit = bound**2 * (1 + (4e-6 if wide.dtype == torch.float32 else 2e-12))
    if _certified(gram, limit):
        return
    squares, vectors = torch.linalg.eigh(gram.double())
    if wide.dtype == torch.float32 and squares[-1] > _SINGLE_PRECISION_LIMIT * bound**2:
        in_double = wide.double()
        _clip_(in_double, bound)
        wide.copy_(in_double)
        return
    exceeding = squares > limit
    directions = vectors[:, exceeding].to(wide.dtype)
    shrink = (1 - bound / squares[exceeding].sqrt()).to(wide.dtype)
    if 2 * directions.shape[1] < len(wide):
        wide.addmm_(directions * shrink, directions.T @ wide, alpha=-1)
    else:  # many directions: cheaper as one product with I - U_k (1 - bound / s_k) U_k^T, by cached parts
        projection = (directions * -shrink) @ directions.T
        projection.diagonal().add_(1)
        for columns in wide.split(1024, dim=1):
            columns.copy_(projection @ columns)


def _lower_gram(wide: Tensor, block: int = 64) -> Tensor:
    """The lower triangle of `wide` @ `wide`.T, by blocks of rows: half the arithmetic; no reader looks above it."""
    gram = wide.new_zeros(len(wide), len(wide))
    for start in range(0, len(wide), block):
        stop = start + block
        gram[start:stop, :stop] = wide[start:stop] @ wide[:stop].T
    return gram


def _certified(gram: Tensor, limit: float) -> bool:
    """Whether limit * I - gram is positive definite, so that every eigenvalue of `gram` lies below `limit`."""
    difference = gram.neg()
    difference.diagonal().add_(limit)
    return torch.linalg.cholesky_ex(difference).info.item() == 0

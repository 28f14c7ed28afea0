"""Constraints that keep a discriminator Lipschitz, applied in place to its parameters after the optimiser's step."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from videogan.nets.precision import without_autocast

_MARGINS = {torch.float32: 1e-5, torch.float64: 2e-8}
"""Excess of (s / bound)^2 over 1 that is not clipped: larger than the rounding error of a clipping in that precision,
so that a second clipping changes nothing."""
_SINGLE_PRECISION_EIGH_LIMIT = 4.0
"""Up to this (s_max / bound)^2, eigh of the Gram matrix in fp32 clips accurately to 4e-6; above it, fp64 is used."""
_SINGLE_PRECISION_LIMIT = 16.0
"""Up to this (s_max / bound)^2, a Gram matrix in fp32 clips accurately to 1e-6; above it, fp64 is used."""
_GRAM_LIMIT = 1e6
"""Up to this (s_max / bound)^2, a Gram matrix in fp64 clips accurately to 1e-9; above it, the SVD is used."""


@torch.no_grad()
def singular_value_clipping_(discriminator: nn.Module, gamma_eps: bool = True) -> None:
    """Singular Value Clipping of theta_D (TGAN alg. 1, Table 2): every linear, convolution and batch norm is clipped.

    Weights of linear layers, of convolutions, plain and transposed, and of embeddings (linear in one-hot labels) get
    singular values of at most 1; the rows of each matrix are its output channels, or its classes. `clip_gammas_` clips
    the gammas, with `gamma_eps`. Biases, running statistics, recurrent cells and the scale of a self-attention do not
    change.

    It does not make the discriminator 1-Lipschitz. For a convolution it bounds the weight as a matrix, not the
    operator, whose windows overlap: a 3x3 kernel of thirds has matrix norm 1 and operator norm 2.93 on 16x16. In train
    mode batch norm divides by the batch's deviation, not the running one. Between two clippings weights grow.

    Data-parallel ranks with equal weights and equal running statistics stay equal, bit for bit on equal machines and
    thread counts: no random numbers are drawn, and the same operations run in the same order. Raises ValueError for a
    weight that is computed from other tensors (spectral norm), which would undo the clipping, and for batch norms that
    `clip_gammas_` refuses.
    """
    for name, layer in discriminator.named_modules():
        if isinstance(layer, (nn.Linear, _ConvNd, nn.Embedding)):
            if not isinstance(layer.weight, nn.Parameter):
                raise ValueError(
                    f"{name or type(layer).__name__}.weight must be a parameter to be clipped, got a tensor that is "
                    "computed from other tensors; build the discriminator without spectral or weight norm."
                )
            clip_singular_values_(layer.weight.transpose(0, 1) if isinstance(layer, _ConvTransposeNd) else layer.weight)
    clip_gammas_(discriminator, gamma_eps)


@torch.no_grad()
def clip_singular_values_(weight: Tensor, bound: float = 1.0) -> Tensor:
    """Clip the singular values of `weight`, seen as the matrix (out, rest), to at most `bound` (TGAN sec. 4).

    Equal to W <- U min(S, bound) V^T, without the SVD: squared singular values are eigenvalues of the Gram matrix of
    the smaller side. A Cholesky factorisation certifies that none exceeds the bound. Only if it fails, `eigh` finds
    the k directions U_k above the bound, and W <- W - U_k (1 - bound / s_k) U_k^T W. Clipped singular values are
    accurate to 1e-5 of the bound; values less than 5e-6 above it are not clipped (fp64: 1e-8). A second clipping
    changes nothing (fp32, fp64).

    weight: (out, ...) with any memory layout, changed in place and returned; bf16 and fp16 are computed in fp32 and
    rounded once, so rounding may raise a value above the bound again. A weight with NaN or infinity does not change:
    the next loss reveals it. Raises ValueError for a vector, for a dtype that is not real and floating, and for a
    bound that is not positive. Needs fp64 on the weight's device.
    """
    if weight.ndim < 2:
        raise ValueError(
            f"weight must have at least 2 dimensions, got shape {tuple(weight.shape)}; clip vectors elsewhere."
        )
    if not weight.is_floating_point():
        raise ValueError(f"weight must be bf16, fp16, fp32 or fp64, got {weight.dtype}; clip the weight it came from.")
    _check_positive(bound)
    # Singular values do not depend on the order of columns; in memory order, channels_last also flattens to a view.
    columns = sorted(range(1, weight.ndim), key=weight.stride, reverse=True)
    permuted = weight.detach().permute(0, *columns)
    matrix = permuted.flatten(1)
    if matrix.dtype not in _MARGINS:
        matrix = matrix.float()
    with without_autocast(weight):
        _clip_(matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T, bound)
    if matrix.data_ptr() != weight.data_ptr():  # a copy, because of the memory layout or the precision
        permuted.copy_(matrix.view(permuted.shape))
    return weight


@torch.no_grad()
def clip_gammas_(module: nn.Module, gamma_eps: bool = True) -> None:
    """Clip the gamma of every batch norm in `module` to [0.01 u, u], u = sqrt(running_var + eps) (TGAN Table 2).

    That makes batch norm 1-Lipschitz in eval mode, per channel. The lower bound, from the released code, also raises
    negative gammas. `gamma_eps=False`: u = sqrt(running_var), as in the released code. NaN stays NaN. Raises
    ValueError for a batch norm without gamma or running statistics.
    """
    for name, layer in module.named_modules():
        if isinstance(layer, _BatchNorm):
            if layer.weight is None or layer.running_var is None:
                raise ValueError(
                    f"{name or type(layer).__name__} must have gamma and running statistics for its gamma to be "
                    "clipped; build it affine=True, track_running_stats=True."
                )
            upper = (layer.running_var + (layer.eps if gamma_eps else 0)).sqrt()
            layer.weight.copy_(layer.weight.clamp(0.01 * upper, upper))


@torch.no_grad()
def clip_weights_(module: nn.Module, bound: float = 0.01) -> None:
    """Weight clipping, w <- clip(w, -c, c): all parameters, biases and gammas too (WGAN alg. 1; TGAN sec. 3.2, 6.1).

    bound: c > 0. NaN stays NaN. The resulting Lipschitz constant depends on the architecture and is not known.
    Raises ValueError for a bound that is not positive.
    """
    _check_positive(bound)
    for parameter in module.parameters():
        parameter.clamp_(-bound, bound)


@torch.no_grad()
def retract_to_orthogonal_(weight: Tensor) -> None:
    """W <- Q of the QR decomposition of the square `weight` W, back to the orthogonal matrices after an update (SWGAN).

    R's diagonal is taken positive, so that no column flips and an orthogonal W stays. Computed in fp64: in fp32 each
    element of W^T W - I is below 1e-6. A weight with NaN or infinity does not change: the next loss reveals it.
    """
    # Chosen on the device: `if` would wait for it after each update.
    is_finite = weight.isfinite().all()
    q, r = torch.linalg.qr(torch.where(is_finite, weight, torch.eye(len(weight)).to(weight)).double())
    weight.copy_(torch.where(is_finite, torch.where(r.diagonal() < 0, -q, q).to(weight), weight))


def _check_positive(bound: float) -> None:
    if not bound > 0:
        raise ValueError(f"bound must be positive, got {bound}.")


def _clip_(wide: Tensor, bound: float) -> None:
    """Clip the singular values of `wide` (m, n), m <= n, in place, in the lowest precision that is accurate enough."""
    gram = _lower_gram(wide)
    if not gram.isfinite().all():
        if wide.isfinite().all():  # only the squares overflow
            _clip_by_svd_(wide, bound)
        return
    limit = bound**2 * (1 + _MARGINS[wide.dtype])
    if _certified(gram, limit):
        return
    single = _certified(gram, _SINGLE_PRECISION_EIGH_LIMIT * bound**2)
    squares, vectors = torch.linalg.eigh(gram if single else gram.double())
    largest = squares[-1] / bound**2
    if wide.dtype == torch.float32 and largest > _SINGLE_PRECISION_LIMIT:
        in_double = wide.double()
        _clip_(in_double, bound)
        wide.copy_(in_double)
    elif largest > _GRAM_LIMIT:
        _clip_by_svd_(wide, bound)
    else:
        # Half the margin, so that values that are not clipped here pass the next check in spite of rounding.
        exceeding = squares > bound**2 * (1 + _MARGINS[wide.dtype] / 2)
        _shrink_(wide, vectors[:, exceeding], 1 - bound / squares[exceeding].sqrt())


def _clip_by_svd_(wide: Tensor, bound: float) -> None:
    u, s, vh = torch.linalg.svd(wide.double(), full_matrices=False)
    wide.copy_((u * s.clamp(max=bound)) @ vh)


def _shrink_(wide: Tensor, directions: Tensor, shrink: Tensor, block: int = 512) -> None:
    """W <- W - U_k diag(shrink) U_k^T W for directions U_k (m, k), by blocks of columns that fit in the cache."""
    n_directions = directions.shape[1]
    if 2 * n_directions < len(wide):
        left, right = (directions * -shrink).to(wide.dtype), directions.T.to(wide.dtype)
        for columns in wide.split(block, dim=1):
            columns.addmm_(left, right @ columns)
    else:  # many directions: cheaper as one product with I - U_k diag(shrink) U_k^T
        projection = ((directions * -shrink) @ directions.T).to(wide.dtype)
        projection.diagonal().add_(1)
        for columns in wide.split(block, dim=1):
            columns.copy_(projection @ columns)


def _lower_gram(wide: Tensor, block: int = 128) -> Tensor:
    """The lower triangle of `wide` @ `wide`.T, by blocks of rows: half the arithmetic, and all that is read."""
    gram = wide.new_zeros(len(wide), len(wide))
    for start in range(0, len(wide), block):
        stop = start + block
        gram[start:stop, :stop] = wide[start:stop] @ wide[:stop].T
    return gram


def _certified(gram: Tensor, limit: float) -> bool:
    """Whether limit * I - gram is positive definite, so that every eigenvalue of `gram` is below `limit`."""
    difference = gram.neg()
    difference.diagonal().add_(limit)
    return torch.linalg.cholesky_ex(difference).info.item() == 0

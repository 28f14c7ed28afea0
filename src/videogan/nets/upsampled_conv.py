"""A 3x3 convolution of an image doubled by nearest upsampling, without the doubled image."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, interpolate

from videogan.nets.precision import without_autocast

_ROWS = torch.tensor([[[1.0, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])
"""(phase, tap, 3): the rows of a 3-tap kernel that meet the same pixel, for even and odd outputs."""


def upsampled_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """conv2d(interpolate(x, scale_factor=2), weight, bias, padding=1), the same to rounding, at 4/9 of its arithmetic.

    Neighbours in a doubled image are equal, so each of the four phases of the output (row and column even or odd) is a
    2x2 convolution of x with sums of taps (sub-pixel convolution, Shi et al. 2016). Below 3 x 3 pixels padding makes
    that the dearer way.
    x: (B, n_in, H, W); weight: (n_out, n_in, 3, 3); bias: (n_out,) -> (B, n_out, 2H, 2W).
    """
    height, width = x.shape[2:]
    if 4 * (height + 1) * (width + 1) >= 9 * height * width:
        return conv2d(interpolate(x, scale_factor=2, mode="nearest"), weight, bias, padding=1)
    phases = conv2d(x, _phase_kernels(weight), None if bias is None else bias.repeat(4), padding=1)
    if torch.compiler.is_compiling():
        return _interleaved(phases)
    interleaved: Tensor = _Interleave.apply(phases)
    return interleaved


def _interleaved(phases: Tensor) -> Tensor:
    """`_Interleave` of operations that torch.compile can trace, and makes one copy of: it refuses to fill a view by
    strides, as the gradient of `_Interleave` does."""
    height, width = phases.shape[2] - 1, phases.shape[3] - 1
    of_phase = phases.unflatten(1, (2, 2, -1))
    rows = [[of_phase[:, a, b, :, a : a + height, b : b + width] for b in (0, 1)] for a in (0, 1)]
    return torch.stack([torch.stack(row, 4) for row in rows], 3).flatten(4).flatten(2, 3)


def _phase_kernels(weight: Tensor) -> Tensor:
    """(4 n_out, n_in, 2, 2): the kernels of the phases (0, 0), (0, 1), (1, 0), (1, 1), in the layout of `weight`."""
    n_out, n_in = weight.shape[:2]
    with without_autocast(weight):
        rows = _ROWS.to(weight)
        sums = torch.einsum("aph,bqw->abpqhw", rows, rows).view(16, 9)
        kernels = sums @ weight.permute(2, 3, 0, 1).reshape(9, n_out * n_in)
        kernels = kernels.view(4, 2, 2, n_out, n_in)
        if weight.is_contiguous():
            return kernels.permute(0, 3, 4, 1, 2).reshape(4 * n_out, n_in, 2, 2)
        return kernels.permute(0, 3, 1, 2, 4).reshape(4 * n_out, 2, 2, n_in).permute(0, 3, 1, 2)


class _Interleave(torch.autograd.Function):
    """(B, 4 C, H + 1, W + 1) -> (B, C, 2H, 2W): phase (a, b) of output pixel (2i + a, 2j + b) is at (i + a, j + b).

    One copy in the layout of the input, which the gradient keeps; positions that no output reads get gradient 0."""

    @staticmethod
    def forward(ctx: Any, phases: Tensor) -> Tensor:
        n, channels, height, width = ctx.shape = phases.shape
        ctx.last = not phases.is_contiguous() and phases.is_contiguous(memory_format=torch.channels_last)
        sides = 2 * (height - 1), 2 * (width - 1)
        pixels = _pixels(phases)
        if not ctx.last:
            return pixels.contiguous().view(n, channels // 4, *sides)
        copied = _by_16_bytes(pixels.permute(_LAST)).contiguous()
        return copied.view(phases.dtype).view(n, *sides, channels // 4).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        n, channels, height, width = ctx.shape
        gradient = gradient.unflatten(3, (width - 1, 2)).unflatten(2, (height - 1, 2))
        if not ctx.last:
            of_phases = gradient.new_zeros(ctx.shape)
            _pixels(of_phases).copy_(gradient)
            return of_phases
        of_phases = gradient.new_zeros(n, height, width, channels).permute(0, 3, 1, 2)
        last = gradient.permute(_LAST).contiguous()
        _by_16_bytes(_pixels(of_phases).permute(_LAST)).copy_(_by_16_bytes(last))
        return of_phases


_LAST = (0, 2, 3, 4, 5, 1)


def _pixels(phases: Tensor) -> Tensor:
    """A view (B, C, H, 2, W, 2) of the phases (B, 4 C, H + 1, W + 1): the value of each output pixel."""
    n, channels, height, width = phases.shape
    of_clip, of_channel, of_row, of_column = phases.stride()
    one_right, one_down = of_column + channels // 4 * of_channel, of_row + channels // 2 * of_channel
    strides = of_clip, of_channel, of_row, one_down, of_column, one_right
    return phases.as_strided((n, channels // 4, height - 1, 2, width - 1, 2), strides)


def _by_16_bytes(x: Tensor) -> Tensor:
    """x seen as numbers of 16 bytes, if its last dimension fills them: CPUs copy them 3 to 6 times as fast."""
    return x if x.shape[-1] * x.element_size() % 16 or not x.is_cpu else x.view(torch.complex128)

"""Batch norm with a gain and bias for each sample, fast on channels-last images with few channels.

Torch's kernels run over the channels of one pixel at a time: with 8 channels on CPUs they are 3 to 10 times as slow as
over a row of pixels. Here a row of W pixels is W * C columns, whose statistics are then combined.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import batch_norm

_MOST_CHANNELS = 32
"""With more channels torch's own kernels are as fast."""


def conditional_batch_norm(norm: nn.BatchNorm2d, x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """gain * norm(x) + bias, the same to rounding. norm: without its own gain; gain, bias: (B, C)."""
    if not _is_narrow(x):
        return torch.addcmul(bias[:, :, None, None], gain[:, :, None, None], norm(x))
    return _narrow(norm, x, gain, bias)


def own_batch_norm(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """norm(x), the same to rounding, of a batch norm with its own gain and bias."""
    if not _is_narrow(x):
        normalised: Tensor = norm(x)
        return normalised
    return _narrow(norm, x, *(own.to(x.dtype).expand(len(x), -1) for own in (norm.weight, norm.bias)))


def _is_narrow(x: Tensor) -> bool:
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return x.is_cpu and last and x.shape[1] <= _MOST_CHANNELS


def _narrow(norm: nn.BatchNorm2d, x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    mean, variance = norm.running_mean, norm.running_var
    if norm.training:
        mean, variance = _statistics(x.detach())
        _update_running_(norm, mean, variance, x.numel() // len(mean))
    scaled: Tensor = _NormaliseRows.apply(x, gain, bias, mean, variance, norm.eps, norm.training)
    return scaled


@torch.no_grad()
def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Means and biased variances (C,) of x (B, C, H, W), in at least fp32."""
    n_channels, width = x.shape[1], x.shape[3]
    kept = x.new_zeros(width * n_channels, dtype=torch.promote_types(x.dtype, torch.float32))
    of_columns = torch.batch_norm_update_stats(_rows(x).flatten(0, 1), kept, kept.clone(), 0.0)
    means, variances = (values.view(width, n_channels) for values in of_columns)
    mean = means.mean(0)
    return mean, variances.mean(0) + (means - mean).square().mean(0)


@torch.no_grad()
def _update_running_(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, n: int) -> None:
    """As torch's batch norm: with its momentum, or the mean over all batches without; the variance is unbiased."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    share = 1 / norm.num_batches_tracked.item() if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, share)
    norm.running_var.lerp_(variance * (n / (n - 1)), share)


class _NormaliseRows(torch.autograd.Function):
    """gain * (x - mean) / sqrt(variance + eps) + bias; in training mean and variance are those of x."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gain: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float, training: bool
    ) -> Tensor:
        rows, width = _rows(x), x.shape[3]
        flat = rows.flatten(0, 1)
        normalised = batch_norm(flat, mean.repeat(width), variance.repeat(width), eps=eps).view(rows.shape)
        ctx.save_for_backward(normalised, gain, (variance + eps).rsqrt())
        ctx.shape, ctx.training = x.shape, training
        return _image(torch.addcmul(_along(bias, width), _along(gain, width), normalised), x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        normalised, gain, inverse = ctx.saved_tensors
        n, n_channels, height, width = ctx.shape
        rows, dtype = _rows(gradient), inverse.dtype
        of_bias, of_gain = (
            values.sum(1).view(n, width, n_channels).sum(1, dtype=dtype) for values in (rows, rows * normalised)
        )
        slope = _along((gain * inverse).to(rows.dtype), width)
        if ctx.training:
            # the gradients of mean and variance: means over the batch of gain * gradient, and of that times x's
            share = inverse / (n * height * width)
            of_mean, of_variance = (-(gain * total).sum(0) * share for total in (of_bias, of_gain))
            constant, linear = (values.to(rows.dtype).repeat(width) for values in (of_mean, of_variance))
            of_x = torch.addcmul(torch.addcmul(constant, linear, normalised), slope, rows)
        else:
            of_x = slope * rows
        return _image(of_x, ctx.shape), of_gain.to(gain.dtype), of_bias.to(gain.dtype), None, None, None, None


def _rows(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H, W * C), a view of channels-last memory."""
    return x.permute(0, 2, 3, 1).flatten(2)


def _image(rows: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of `_rows`."""
    return rows.view(shape[0], shape[2], shape[3], shape[1]).permute(0, 3, 1, 2)


def _along(values: Tensor, width: int) -> Tensor:
    """(B, C) -> (B, 1, width * C)."""
    return values.repeat(1, width)[:, None]

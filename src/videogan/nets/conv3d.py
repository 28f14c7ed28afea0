"""3-D convolutions that are right on clips and maps shorter than their kernel."""

from torch import Tensor, nn
from torch.nn.functional import conv3d, pad

Sizes = tuple[int, ...]
"""A number for frames, rows and columns."""


def safe_conv3d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sizes, padding: Sizes, dilation: Sizes = (1, 1, 1)
) -> Tensor:
    """torch's conv3d, which pads x (B, n_in, T, H, W) first where x is shorter than the kernel.

    oneDNN's bf16 weight gradient (torch 2.13, AVX512-BF16 without AMX) contains uninitialised memory, or is written
    past its end, for most kernels longer than their input: 3 taps on 2 frames, 4 taps on 2 rows. Explicit padding gives
    the same sum without that bug.
    """
    if is_shorter_than_kernel(x, weight, dilation):
        time, height, width = padding
        x, padding = pad(x, (width, width, height, height, time, time)), (0, 0, 0)
    return conv3d(x, weight, bias, stride, padding, dilation)


def is_shorter_than_kernel(x: Tensor, weight: Tensor, dilation: Sizes) -> bool:
    """Whether x (B, C, T, H, W) has fewer frames, rows or columns than the dilated kernel reaches over."""
    reaches = (apart * (taps - 1) + 1 for taps, apart in zip(weight.shape[2:], dilation, strict=True))
    return any(size < reach for size, reach in zip(x.shape[2:], reaches, strict=True))


class Conv3d(nn.Conv3d):
    """torch's Conv3d with padding in numbers, by `safe_conv3d`. x: (B, n_in, T, H, W) -> (B, n_out, T', H', W')."""

    def forward(self, x: Tensor) -> Tensor:
        assert not isinstance(self.padding, str)
        return safe_conv3d(x, self.weight, self.bias, self.stride, self.padding, self.dilation)


class Conv3x3x3(Conv3d):
    """A 3x3x3 convolution with zero padding of one on every side."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, bias: bool = False) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=bias)

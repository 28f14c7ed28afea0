"""3-D convolutions that are right on clips and maps shorter than their kernel."""

from torch import Tensor, nn
from torch.nn.functional import conv3d, pad


class Conv3d(nn.Conv3d):
    """torch's Conv3d with zero padding in numbers, which pads itself where its input is shorter than its kernel.

    oneDNN's bf16 weight gradient (torch 2.13, AVX512-BF16 without AMX) contains uninitialised memory, or writes past
    its end, at most kernels longer than their input: 3 taps on 2 frames, 4 taps on 2 rows. Explicit padding gives the
    same sum without that bug. x: (B, n_in, T, H, W) -> (B, n_out, T', H', W').
    """

    def forward(self, x: Tensor) -> Tensor:
        if not is_shorter_than_kernel(self, x):
            return super().forward(x)
        assert self.padding_mode == "zeros"
        assert not isinstance(self.padding, str)
        time, height, width = self.padding
        padded = pad(x, (width, width, height, height, time, time))
        return conv3d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class Conv3x3x3(Conv3d):
    """A 3x3x3 convolution with zero padding of one on every side."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, bias: bool = False) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=bias)


def is_shorter_than_kernel(convolution: nn.Conv3d, x: Tensor) -> bool:
    """Whether x (B, C, T, H, W) has fewer frames, rows or columns than the kernel reaches over, with its dilation."""
    reaches = (
        dilation * (taps - 1) + 1 for taps, dilation in zip(convolution.kernel_size, convolution.dilation, strict=True)
    )
    return any(size < reach for size, reach in zip(x.shape[2:], reaches, strict=True))

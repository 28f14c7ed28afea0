"""Residual blocks over clips, of discriminators."""

from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, pad, relu

from videogan.nets.conv3d import Conv3x3x3, safe_conv3d


class DownBlock3d(nn.Module):
    """DownBlock over clips: ReLU-conv3x3x3-ReLU-conv3x3x3-pool, plus the pooled shortcut, 1x1x1 if channels change.

    Pooling halves the sides (DVD-GAN's D_T), and with halves_time the frames too (TGANv2). A size of 1 stays; an odd
    size gets a zero in front, which its mean counts. n_hidden: channels between the convolutions, by default n_out.
    preactivation=False omits the first ReLU, because the first block sees pixels.
    x: (B, n_in, T, H, W) -> (B, n_out, T', H', W').
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        n_hidden: int | None = None,
        preactivation: bool = True,
        halves_time: bool = False,
    ) -> None:
        super().__init__()
        self.preactivation, self.window = preactivation, (2 if halves_time else 1, 2, 2)
        n_hidden = n_out if n_hidden is None else n_hidden
        self.conv1 = Conv3x3x3(n_in, n_hidden, stride=1, bias=True)
        self.conv2 = Conv3x3x3(n_hidden, n_out, stride=1, bias=True)
        self.shortcut = nn.Conv3d(n_in, n_out, 1) if n_in != n_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        window = tuple(min(k, size) for k, size in zip(self.window, x.shape[2:], strict=True))
        odd = tuple(size % k for k, size in zip(window, x.shape[2:], strict=True))
        hidden = relu(self.conv1(relu(x) if self.preactivation else x))
        if any(odd):
            return avg_pool3d(self.conv2(hidden) + self.shortcut(x), window, padding=odd)
        # As in DownBlock: pooling moves into the kernel, and before the shortcut. Zeros at an odd side forbid that.
        kernel = pooled_kernel(self.conv2.weight, window)
        hidden = safe_conv3d(hidden, kernel, self.conv2.bias, stride=window, padding=(1, 1, 1))
        return hidden + self.shortcut(avg_pool3d(x, window))


def pooled_kernel(kernel: Tensor, window: tuple[int, ...]) -> Tensor:
    """The kernel (n_out, n_in, 3, 3, 3) of a convolution before average pooling over a window of 1 or 2 a side.

    Means of two shifted copies, axis by axis: avg_pool3d on kernels took a quarter of TGANv2's step on a CPU.
    """
    for axis, k in enumerate(window):
        if k == 2:
            others = (0, 0) * (2 - axis)
            kernel = (pad(kernel, (*others, 0, 1)) + pad(kernel, (*others, 1, 0))) / 2
    return kernel

"""Residual blocks of BigGAN's generator and discriminator."""

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, relu

from videogan.nets.conditional_norm import ConditionalNorm, Normalisation
from videogan.nets.upsampled_conv import upsampled_conv2d


class UpBlock(nn.Module):
    """Generator block, twice the side: CBN-ReLU-up-conv3x3-CBN-ReLU-conv3x3, plus up-conv1x1 of the shortcut (BigGAN).

    up=False: nothing is doubled, n_in = n_out, and the shortcut is the identity. n_steps: see ConditionalNorm.
    branch and shortcut: (B n_steps, n_in, H, W), the same tensor unless a temporal shift precedes the residual branch;
    condition: (B, dim_condition) -> (B n_steps, n_out, 2H, 2W). Upsampling is nearest.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        dim_condition: int,
        norm: Normalisation = "batch",
        *,
        n_steps: int = 1,
        up: bool = True,
    ) -> None:
        super().__init__()
        self.up = up
        self.norm1 = ConditionalNorm(n_in, dim_condition, norm, n_steps)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.norm2 = ConditionalNorm(n_out, dim_condition, norm, n_steps)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.shortcut = nn.Conv2d(n_in, n_out, 1) if up else nn.Identity()

    def forward(self, branch: Tensor, shortcut: Tensor, condition: Tensor) -> Tensor:
        hidden = relu(self.norm1(branch, condition))
        hidden = upsampled_conv2d(hidden, self.conv1.weight, self.conv1.bias) if self.up else self.conv1(hidden)
        hidden = self.conv2(relu(self.norm2(hidden, condition)))
        # a 1x1 convolution commutes with nearest upsampling and costs a quarter before it
        return hidden + (_doubled(self.shortcut(shortcut)) if self.up else shortcut)


class DownBlock(nn.Module):
    """Discriminator block: ReLU-conv3x3-ReLU-conv3x3-pool, plus the pooled shortcut, 1x1 if channels change (BigGAN).

    preactivation=False omits the first ReLU, because the first block sees pixels. down halves the side by
    average pooling.
    x: (B, n_in, H, W) -> (B, n_out, H / 2, W / 2), or (B, n_out, H, W) without down.
    """

    def __init__(self, n_in: int, n_out: int, *, preactivation: bool = True, down: bool = True) -> None:
        super().__init__()
        self.preactivation, self.down = preactivation, down
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.shortcut = nn.Conv2d(n_in, n_out, 1) if n_in != n_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv1(relu(x) if self.preactivation else x)
        if not self.down:
            return self.conv2(relu(hidden)) + self.shortcut(x)
        # Pooling is linear: the 1x1 convolution gives the same result after it, at a lower cost, and a pooled 3x3
        # convolution is one with stride 2 whose kernel is the mean of four shifted ones.
        kernel = avg_pool2d(self.conv2.weight, 2, 1, padding=1)
        hidden = conv2d(relu(hidden), kernel, self.conv2.bias, stride=2, padding=1)
        return hidden + self.shortcut(avg_pool2d(x, 2))


def _doubled(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2, mode="nearest")

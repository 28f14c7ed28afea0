"""ECO-Lite: the video classifier of S3 on Jester (Zolfaghari et al. 2018; MVT-GAN, App. B.1)."""

import torch
from torch import Tensor, nn

from videogan.classifiers.contract import VideoClassifier
from videogan.nets.conv3d import Conv3x3x3
from videogan.nets.width import scaled


class ECOLite(VideoClassifier):
    """ECO-Lite: BN-Inception on each frame up to block 3c, a 3-D residual network on the stack, one linear layer.

    The 2-D part ends with the first 3x3 convolution of 3c's double branch: 96 channels, 28x28 from 224x224 frames; the
    3-D part is the latter half of a pre-activation 3-D ResNet-18. Convolutions have biases, as in the released
    networks. `width` is the number of channels after the stem, 64 in the paper, and clips go from 16x32x32 (T, H, W)
    up. Dropout is 0.6 as in MVT-GAN, App. B.1. Released weights expect BGR in 0 ... 255 minus a mean; ours
    takes [-1, 1], and files in the released layout are refused.
    Randomness: initialisation, and dropout in train mode, draw from torch's global generator.
    """

    def __init__(self, n_classes: int, width: int = 64, dropout: float = 0.6):
        super().__init__()
        self.frames = inception_of_frames(width)
        c, c2, c4, c8 = (scaled(channels, width / 64) for channels in (96, 128, 256, 512))
        self.clip = nn.Sequential(
            Conv3x3x3(c, c2, stride=1, bias=True),
            PreActivationUnit(c2, c2),
            PreActivationUnit(c2, c4),
            PreActivationUnit(c4, c4),
            PreActivationUnit(c4, c8),
            PreActivationUnit(c8, c8),
            nn.BatchNorm3d(c8),
            nn.ReLU(inplace=True),
        )
        self.n_features = c8
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(c8, n_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def features(self, video: Tensor) -> Tensor:
        """Penultimate features (B, 8 width) of `video` (B, T, 3, H, W) in [-1, 1]: means over time and space."""
        stack = self.frames(video.flatten(0, 1)).unflatten(0, video.shape[:2]).transpose(1, 2)
        return self.clip(stack).mean(dim=(2, 3, 4))

    def forward(self, video: Tensor) -> Tensor:
        """Class logits (B, K) of `video` (B, T, 3, H, W) in [-1, 1]."""
        return self.classify(self.dropout(self.features(video)))


def inception_of_frames(width: int) -> nn.Sequential:
    """The part of BN-Inception (Ioffe & Szegedy 2015) in ECO: frames (N, 3, H, W) -> (N, 96 width / 64, H/8, W/8)."""
    c32, c64, c96, c192 = (scaled(channels, width / 64) for channels in (32, 64, 96, 192))
    after_3a, after_3b = 2 * c64 + c96 + c32, 2 * c64 + 2 * c96
    return nn.Sequential(
        convolution(3, c64, kernel_size=7, stride=2),
        nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
        convolution(c64, c64, kernel_size=1),
        convolution(c64, c192, kernel_size=3),
        nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
        InceptionBlock(c192, c64, (c64, c64), (c64, c96), c32),
        InceptionBlock(after_3a, c64, (c64, c96), (c64, c96), c64),
        convolution(after_3b, c64, kernel_size=1),
        convolution(c64, c96, kernel_size=3),
    )


def convolution(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Sequential:
    """A 2-D convolution with padding kernel_size // 2, batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class InceptionBlock(nn.Module):
    """Parallel branches 1x1; 1x1, 3x3; 1x1, 3x3, 3x3; and average pool, 1x1.

    `single` and `double` are (channels after the 1x1, channels after the 3x3 or each of the two).
    """

    def __init__(
        self, in_channels: int, plain: int, single: tuple[int, int], double: tuple[int, int], pooled: int
    ) -> None:
        super().__init__()
        self.branch_1x1 = convolution(in_channels, plain, 1)
        self.branch_3x3 = nn.Sequential(convolution(in_channels, single[0], 1), convolution(*single, 3))
        self.branch_double_3x3 = nn.Sequential(
            convolution(in_channels, double[0], 1), convolution(*double, 3), convolution(double[1], double[1], 3)
        )
        self.branch_pool = nn.Sequential(
            nn.AvgPool2d(kernel_size=3, stride=1, padding=1), convolution(in_channels, pooled, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.branch_1x1(x), self.branch_3x3(x), self.branch_double_3x3(x), self.branch_pool(x))
        return torch.cat(branches, dim=1)


class PreActivationUnit(nn.Module):
    """Residual unit, norm and ReLU before each 3x3x3 convolution; if channels increase, it halves time and space.

    If the shape changes, the shortcut is a 3x3x3 convolution of stride 2 on the first activation.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        stride = 1 if in_channels == out_channels else 2
        self.activate = nn.Sequential(nn.BatchNorm3d(in_channels), nn.ReLU(inplace=True))
        self.residual = nn.Sequential(
            Conv3x3x3(in_channels, out_channels, stride, bias=True),
            nn.BatchNorm3d(out_channels),
            nn.ReLU(inplace=True),
            Conv3x3x3(out_channels, out_channels, 1, bias=True),
        )
        self.project = None if stride == 1 else Conv3x3x3(in_channels, out_channels, stride, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.activate(x)
        return self.residual(activated) + (x if self.project is None else self.project(activated))

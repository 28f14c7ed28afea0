"""3-D ResNet-18: the video classifier of S3 (Hara et al. 2018; MVT-GAN, App. B.1)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videogan.classifiers.contract import VideoClassifier
from videogan.nets.conv3d import Conv3x3x3

Shortcut = Literal["A", "B"]


class ResNet3D18(VideoClassifier):
    """3-D ResNet-18 of Hara et al. 2018: a 7x7x7 stem, eight basic blocks, global average pooling, dropout, one linear.

    `width` is the number of channels after the stem, 64 in the paper. Shortcut "B" projects with a 1x1x1 convolution
    if the shape changes; "A" subsamples and pads with zero channels. Clips from 16x32x32 (T, H, W) up.
    Input is RGB in [-1, 1]. Hara's Kinetics weights expect 0 ... 255 minus a mean; their files have another layout
    and are refused.
    Randomness: initialisation, and dropout in train mode, draw from torch's global generator.
    """

    def __init__(self, n_classes: int, width: int = 64, shortcut: Shortcut = "B", dropout: float = 0.6):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(3, width, kernel_size=7, stride=(1, 2, 2), padding=3, bias=False),
            nn.BatchNorm3d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool3d(kernel_size=3, stride=2, padding=1),
        )
        blocks: list[nn.Module] = []
        channels = width
        for stage, out_channels in enumerate((width, 2 * width, 4 * width, 8 * width)):
            blocks.append(ResidualBlock3D(channels, out_channels, 1 if stage == 0 else 2, shortcut))
            blocks.append(ResidualBlock3D(out_channels, out_channels, 1, shortcut))
            channels = out_channels
        self.blocks = nn.Sequential(*blocks)
        self.n_features = channels
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(channels, n_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, video: Tensor) -> Tensor:
        """Penultimate features (B, 8 width) of `video` (B, T, 3, H, W) in [-1, 1]: means over time and space."""
        return self.blocks(self.stem(video.transpose(1, 2))).mean(dim=(2, 3, 4))

    def forward(self, video: Tensor) -> Tensor:
        """Class logits (B, K) of `video` (B, T, 3, H, W) in [-1, 1]."""
        return self.classify(self.dropout(self.features(video)))


class ResidualBlock3D(nn.Module):
    """Basic block: two 3x3x3 convolutions with batch norm, the first with `stride` on all axes, and a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, shortcut: Shortcut):
        super().__init__()
        self.residual = nn.Sequential(
            Conv3x3x3(in_channels, out_channels, stride),
            nn.BatchNorm3d(out_channels),
            nn.ReLU(inplace=True),
            Conv3x3x3(out_channels, out_channels, 1),
            nn.BatchNorm3d(out_channels),
        )
        if stride == 1 and in_channels == out_channels:
            self.shortcut: nn.Module = nn.Identity()
        elif shortcut == "A":
            self.shortcut = PaddedSubsample(stride, out_channels - in_channels)
        else:
            projection = nn.Conv3d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm3d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.residual(x) + self.shortcut(x), inplace=True)


class PaddedSubsample(nn.Module):
    """Shortcut A: every `stride`-th position in time and space, with `n_extra` zero channels behind; no parameters."""

    def __init__(self, stride: int, n_extra: int):
        super().__init__()
        self.stride, self.n_extra = stride, n_extra

    def forward(self, x: Tensor) -> Tensor:
        kept = x[:, :, :: self.stride, :: self.stride, :: self.stride]
        return torch.cat([kept, kept.new_zeros(kept.shape[0], self.n_extra, *kept.shape[2:])], dim=1)

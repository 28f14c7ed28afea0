"""I3D: the video classifier of the Frechet video distance (Carreira & Zisserman 2017; Unterthiner et al. 2018)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videogan.classifiers.contract import VideoClassifier
from videogan.nets.conv3d import Conv3x3x3
from videogan.nets.width import scaled

Size = tuple[int, int, int]
Branches = tuple[int, tuple[int, int], tuple[int, int], int]

# Channels of the branches 1x1x1; 1x1x1, 3x3x3; 1x1x1, 3x3x3; pool, 1x1x1 (GoogLeNet, Szegedy et al. 2015, table 1).
INCEPTION: dict[str, Branches] = {
    "3b": (64, (96, 128), (16, 32), 32),
    "3c": (128, (128, 192), (32, 96), 64),
    "4b": (192, (96, 208), (16, 48), 64),
    "4c": (160, (112, 224), (24, 64), 64),
    "4d": (128, (128, 256), (24, 64), 64),
    "4e": (112, (144, 288), (32, 64), 64),
    "4f": (256, (160, 320), (32, 128), 128),
    "5b": (256, (160, 320), (32, 128), 128),
    "5c": (384, (192, 384), (48, 128), 128),
}
POOLS: dict[str, tuple[str, Size, Size]] = {
    # before block: name, kernel, stride
    "3b": ("MaxPool3d_3a_3x3", (1, 3, 3), (1, 2, 2)),
    "4b": ("MaxPool3d_4a_3x3", (3, 3, 3), (2, 2, 2)),
    "5b": ("MaxPool3d_5a_2x2", (2, 2, 2), (2, 2, 2)),
}


class I3D(VideoClassifier):
    """Inflated Inception-v1: a 7x7x7 stem of stride 2, nine inception blocks, global average pooling, one linear layer.

    Input is RGB in [-1, 1], as the Kinetics weights expect it; 16-frame clips from 32 px up. `width` is the number of
    channels after the stem, 64 in the paper. Batch norm has gain and bias, and layers are named as in the public
    PyTorch weights, whose files load; the TensorFlow original has no gains (7,280 parameters fewer). Dropout is 0.5 as
    there. Randomness: initialisation, and dropout in train mode, draw from torch's global generator.
    """

    def __init__(self, n_classes: int, width: int = 64, dropout: float = 0.5):
        super().__init__()
        c64, channels = scaled(64, width / 64), scaled(192, width / 64)
        layers: dict[str, nn.Module] = {
            "pad_1a": SamePadding((7, 7, 7), (2, 2, 2)),
            "Conv3d_1a_7x7": Unit3D(nn.Conv3d(3, c64, kernel_size=7, stride=2, bias=False)),
            "MaxPool3d_2a_3x3": max_pool((1, 3, 3), (1, 2, 2)),
            "Conv3d_2b_1x1": Unit3D(nn.Conv3d(c64, c64, kernel_size=1, bias=False)),
            "Conv3d_2c_3x3": Unit3D(Conv3x3x3(c64, channels, stride=1)),
        }
        for block, branches in INCEPTION.items():
            if block in POOLS:
                name, kernel, stride = POOLS[block]
                layers[name] = max_pool(kernel, stride)
            layers[f"Mixed_{block}"] = inception = InceptionBlock3D(channels, branches, width)
            channels = inception.out_channels
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.order = tuple(layers)
        self.n_features = channels
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(channels, n_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, video: Tensor) -> Tensor:
        """Penultimate features (B, n_features) of `video` (B, T, 3, H, W) in [-1, 1]: means over time and space.

        1024 features at width 64.
        """
        x = video.transpose(1, 2)
        for name in self.order:
            x = self.get_submodule(name)(x)
        return x.mean(dim=(2, 3, 4))

    def forward(self, video: Tensor) -> Tensor:
        """Class logits (B, K) of `video` (B, T, 3, H, W) in [-1, 1]."""
        return self.classify(self.dropout(self.features(video)))


class InceptionBlock3D(nn.Module):
    """Four parallel branches, concatenated; `branches` are their channels, scaled by `width`."""

    def __init__(self, in_channels: int, branches: Branches, width: int):
        super().__init__()
        plain, first, second, pooled = branches
        (b0, b3), b1, b2 = _scaled((plain, pooled), width), _scaled(first, width), _scaled(second, width)
        self.b0 = Unit3D(nn.Conv3d(in_channels, b0, kernel_size=1, bias=False))
        self.b1a = Unit3D(nn.Conv3d(in_channels, b1[0], kernel_size=1, bias=False))
        self.b1b = Unit3D(Conv3x3x3(*b1, stride=1))
        self.b2a = Unit3D(nn.Conv3d(in_channels, b2[0], kernel_size=1, bias=False))
        self.b2b = Unit3D(Conv3x3x3(*b2, stride=1))
        self.b3a = nn.MaxPool3d(kernel_size=3, stride=1, padding=1)
        self.b3b = Unit3D(nn.Conv3d(in_channels, b3, kernel_size=1, bias=False))
        self.out_channels = b0 + b1[1] + b2[1] + b3

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x)))
        return torch.cat(branches, dim=1)


class Unit3D(nn.Module):
    """A convolution, batch norm and ReLU."""

    def __init__(self, conv3d: nn.Conv3d):
        super().__init__()
        self.conv3d = conv3d
        # TensorFlow's epsilon; its momentum of 0.01 is too slow for the running statistics of a short training.
        self.bn = nn.BatchNorm3d(conv3d.out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv3d(x)), inplace=True)


class SamePadding(nn.Module):
    """Pads (B, C, T, H, W) with zeros like TensorFlow's "SAME": n becomes ceil(n / stride), an odd zero is last."""

    def __init__(self, kernel: Size, stride: Size):
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        padding: list[int] = []
        for n, kernel, stride in zip(x.shape[2:], self.kernel, self.stride, strict=True):
            n_zeros = max((math.ceil(n / stride) - 1) * stride + kernel - n, 0)
            padding = [n_zeros // 2, n_zeros - n_zeros // 2, *padding]
        return F.pad(x, padding)


def max_pool(kernel: Size, stride: Size) -> nn.Sequential:
    """Max pool with "SAME" padding; zeros do not change the maxima of ReLU outputs."""
    return nn.Sequential(SamePadding(kernel, stride), nn.MaxPool3d(kernel, stride))


def _scaled(pair: tuple[int, int], width: int) -> tuple[int, int]:
    return scaled(pair[0], width / 64), scaled(pair[1], width / 64)

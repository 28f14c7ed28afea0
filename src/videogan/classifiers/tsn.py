"""Temporal segment network: the video classifier of S3 that sees each frame alone (Wang et al. 2016)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videogan.classifiers.contract import VideoClassifier

# Public ImageNet weights expect RGB in [0, 1] minus this mean, divided by this standard deviation.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class TSN(VideoClassifier):
    """TSN on a 2-D ResNet-50 (MVT-GAN, App. B.1): each frame is classified alone and the logits are averaged.

    Each frame of a 16-frame clip is its own segment, so the segment consensus is the mean over all frames, and
    the order of frames has no effect. `width` is the number of channels after the stem, 64 in the paper; frames from 32
    px up. Dropout, 0.8 as TSN trains RGB, acts on each frame's features. Layers are named as in torchvision's ResNet-50
    (He et al. 2016, with the stride in the 3x3 convolution), and frames are normalised as its ImageNet weights expect,
    so such files load unchanged. Randomness: initialisation, and dropout in train mode, draw from torch's global
    generator.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, n_classes: int, width: int = 64, dropout: float = 0.8):
        super().__init__()
        self.register_buffer("mean", 2 * torch.tensor(IMAGENET_MEAN).view(3, 1, 1) - 1, persistent=False)
        self.register_buffer("std", 2 * torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = stage(width, width, n_blocks=3, stride=1)
        self.layer2 = stage(4 * width, 2 * width, n_blocks=4, stride=2)
        self.layer3 = stage(8 * width, 4 * width, n_blocks=6, stride=2)
        self.layer4 = stage(16 * width, 8 * width, n_blocks=3, stride=2)
        self.n_features = 32 * width
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(self.n_features, n_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def frame_features(self, video: Tensor) -> Tensor:
        """Penultimate features (B, T, 32 width) of each frame of `video` (B, T, 3, H, W) in [-1, 1]."""
        frames = (video.flatten(0, 1) - self.mean) / self.std
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(frames)), inplace=True), kernel_size=3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean(dim=(2, 3)).unflatten(0, video.shape[:2])

    def features(self, video: Tensor) -> Tensor:
        """Penultimate features (B, 32 width) of `video` (B, T, 3, H, W) in [-1, 1]: means over frames."""
        return self.frame_features(video).mean(1)

    def forward(self, video: Tensor) -> Tensor:
        """Class logits (B, K) of `video` (B, T, 3, H, W) in [-1, 1]: means of the frames' logits."""
        return self.classify(self.dropout(self.frame_features(video))).mean(1)


def stage(in_channels: int, channels: int, n_blocks: int, stride: int) -> nn.Sequential:
    """`n_blocks` bottlenecks to 4 `channels`; the first one has the `stride`."""
    first = Bottleneck(in_channels, channels, stride)
    return nn.Sequential(first, *(Bottleneck(4 * channels, channels, 1) for _ in range(n_blocks - 1)))


class Bottleneck(nn.Module):
    """Residual block of 1x1, 3x3 (with `stride`) and 1x1 convolutions, each with batch norm, to 4 `channels`."""

    def __init__(self, in_channels: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != 4 * channels:
            projection = nn.Conv2d(in_channels, 4 * channels, kernel_size=1, stride=stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(4 * channels))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x), inplace=True)

"""C3D: the video classifier of the inception score (Tran et al. 2015; TGAN, MVT-GAN)."""

import torch.nn.functional as F
from torch import Tensor, nn

from videogan.classifiers.contract import VideoClassifier
from videogan.config import ConfigurationError
from videogan.nets.conv3d import Conv3x3x3


class C3D(VideoClassifier):
    """C3D: eight 3x3x3 convolutions with ReLU, five max pools, three fully connected layers; no batch norm.

    The first fully connected layer reads 1x4x4 positions, which result from 16x112x112 clips (T, H, W); sizes that give
    other positions are errors. `width` is the number of channels of the first convolution, 64 in the paper, and every
    other layer scales with it. Dropout, 0.5 in the paper, acts after both hidden fully connected layers. Input is RGB
    in [-1, 1]. The Sports-1M weights of published inception scores expect BGR in 0 ... 255 minus a mean volume. Their
    files have another layout and are refused, so our scores cannot be mistaken for those. Randomness: initialisation,
    and dropout in train mode, draw from torch's global generator.
    """

    def __init__(self, n_classes: int, width: int = 64, dropout: float = 0.5):
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for position, group in enumerate(((1,), (2,), (4, 4), (8, 8), (8, 8))):
            for factor in group:
                layers += [Conv3x3x3(channels, factor * width, stride=1, bias=True), nn.ReLU(inplace=True)]
                channels = factor * width
            # Caffe rounds pool sizes up: the last pool turns 7 positions into 4.
            layers.append(nn.MaxPool3d((1, 2, 2) if position == 0 else 2, ceil_mode=position == 4))
        self.convolutions = nn.Sequential(*layers)
        self.n_features = 64 * width
        self.fc6 = nn.Linear(16 * channels, self.n_features)
        self.fc7 = nn.Linear(self.n_features, self.n_features)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(self.n_features, n_classes)
        for module in (*self.convolutions, self.fc6, self.fc7):
            if isinstance(module, nn.Conv3d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def features(self, video: Tensor) -> Tensor:
        """Penultimate features (B, 64 width) of `video` (B, T, 3, H, W) in [-1, 1]: fc7 after its ReLU.

        Raises ConfigurationError for clips of a size that does not fit the fully connected layers.
        """
        _refuse_other_sizes(video)
        x = self.convolutions(video.transpose(1, 2))
        return F.relu(self.fc7(self.dropout(F.relu(self.fc6(x.flatten(1))))))

    def forward(self, video: Tensor) -> Tensor:
        """Class logits (B, K) of `video` (B, T, 3, H, W) in [-1, 1]."""
        return self.classify(self.dropout(self.features(video)))


def _refuse_other_sizes(video: Tensor) -> None:
    n_frames, _, height, width = video.shape[1:]
    # Three halvings in time and four in space, rounded down, then one rounded up, must give 1 and 4.
    if n_frames // 8 not in (1, 2) or height // 16 not in (7, 8) or width // 16 not in (7, 8):
        raise ConfigurationError(
            f"C3D's first fully connected layer needs 16 frames of 112x112, got {n_frames} of {height}x{width}; "
            "choose a protocol that resizes to 112, or another classifier: r3d18, i3d, eco_lite, tsn."
        )

"""D_Video: strided 3-D convolutions over whole clips."""

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from videogan.nets.conv3d import Conv3d
from videogan.nets.projection_head import ProjectionHead
from videogan.nets.recomputation import Recomputing

Ladder = Literal["released", "mocogan"]
Size = int | tuple[int, int, int]
_STRIDE_AND_PADDING: dict[Ladder, tuple[Size, Size]] = {"released": (2, 1), "mocogan": ((1, 2, 2), (0, 1, 1))}
N_FRAMES_MIN = {"released": 16, "mocogan": 13}
"""The shortest clip that leaves a time step after four convolutions: floor(T / 2) four times, or T - 3 four times."""


class VideoDiscriminator(Recomputing):
    """D_Video: Conv3d 3-a-2a-4a-8a, kernel 4, no bias, LeakyReLU 0.2, batch norm on layers 2-4 (MVT-GAN sec. 4.2).

    ladder "released": stride 2 in time too (MVT-GAN's released code); "mocogan": stride 1 and no padding in time
    (MoCoGAN). The sum runs over all remaining positions and time steps, so T can be anything from N_FRAMES_MIN[ladder].
    forward: video (B, T, n_colours, H, W) in [-1, 1], y (B,) integer labels -> (B,) logits.
    """

    def __init__(
        self,
        channels: int,
        n_classes: int,
        ladder: Ladder = "released",
        norm: Literal["bn", "none"] = "bn",
        n_colours: int = 3,
    ) -> None:
        super().__init__()
        stride, padding = _STRIDE_AND_PADDING[ladder]
        widths = [n_colours, channels, 2 * channels, 4 * channels, 8 * channels]
        layers: list[nn.Module] = []
        for i, (n_in, n_out) in enumerate(pairwise(widths)):
            layers.append(Conv3d(n_in, n_out, 4, stride, padding, bias=False))
            if i > 0 and norm == "bn":
                layers.append(nn.BatchNorm3d(n_out))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        self.layers = nn.Sequential(*layers)
        self.head = ProjectionHead(widths[-1], n_classes)

    def forward(self, video: Tensor, y: Tensor) -> Tensor:
        x = video.transpose(1, 2)
        firsts = [i for i, layer in enumerate(self.layers) if isinstance(layer, nn.Conv3d)]
        for first, end in pairwise([*firsts, len(self.layers)]):
            x = self.run(self.layers[first:end], x)
        return self.head(x, y)

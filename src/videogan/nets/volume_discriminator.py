"""TGAN's discriminator: four strided 3-D convolutions and one full connection."""

from itertools import pairwise
from typing import Final, Literal

from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from videogan.nets.beta import without_beta_
from videogan.nets.conv3d import Conv3d
from videogan.nets.label_volume import LabelledConv3d
from videogan.nets.layer_noise import LayerNoise
from videogan.nets.precision import full_precision

Scale = Literal["gamma_beta", "gamma", "none"]
"""The parameters of a batch norm."""
N_FRAMES: Final = 16
"""T: four halvings leave the one time step that the full connection needs."""


class VolumeDiscriminator(nn.Module):
    """D: Conv3d kernel 4, stride 2, padding 1, LeakyReLU 0.2, batch norm on all but the first layer (TGAN sec. 3.4).

    (n_colours, 16, R, R) -> (64, 8, R/2, R/2) -> (128, 4, ..) -> (256, 2, ..) -> (512, 1, R/16, R/16) -> a scalar,
    `widths` being 64, 128, 256, 512. With `n_labels` > 0 the input has a label volume (sec. 5.2). `sigma` > 0 adds
    Gaussian noise before each LeakyReLU in train mode if its seeds are given (sec. 6.3; place of the released code).
    forward: video (B, 16, n_colours, R, R) in [-1, 1], v (B, n_labels) or None, noise (B,) integer seeds or None ->
    (B,) scores, in fp32 also under autocast.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        resolution: int,
        n_labels: int = 0,
        scale: Scale = "gamma",
        sigma: float = 0.0,
        n_colours: int = 3,
    ) -> None:
        super().__init__()
        first = LabelledConv3d(n_colours, n_labels, widths[0]) if n_labels else Conv3d(n_colours, widths[0], 4, 2, 1)
        self.convolutions = nn.ModuleList([first, *(Conv3d(i, o, 4, 2, 1) for i, o in pairwise(widths))])
        self.norms = nn.ModuleList([nn.Identity(), *(_norm(n, scale) for n in widths[1:])])
        self.full_connection = nn.Linear(widths[-1] * (resolution // 16) ** 2, 1)
        self.sigma = sigma

    def forward(self, video: Tensor, v: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        x, label = video.transpose(1, 2), () if v is None else (v,)
        add_noise = LayerNoise(self.sigma, noise if self.training else None)
        for i, (convolve, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = norm(convolve(x, *label) if i == 0 else convolve(x))
            x = leaky_relu(add_noise(x), 0.2)
        return full_precision(self.full_connection, x.flatten(1)).squeeze(1)


def _norm(n: int, scale: Scale) -> nn.BatchNorm3d:
    norm = nn.BatchNorm3d(n, affine=scale != "none")
    return without_beta_(norm) if scale == "gamma" else norm

"""The 3D model of the TGAN paper (arXiv 1611.06624, sec. 6.3): one linear layer and four 3-D deconvolutions."""

from itertools import pairwise
from typing import Literal, Self

from pydantic import model_validator
from torch import Tensor, nn
from torch.nn.functional import relu

from videogan.families.contract import Facts
from videogan.families.tgan.game import (
    OTHER_VALUES,
    PUBLISHED_RUN,
    VolumeGAN,
    VolumeGANConfig,
    VolumeGenerator,
    build_discriminator,
    refuse_other_lengths,
)
from videogan.nets.chainer_initialisation import he_normal_, uniform_
from videogan.nets.width import scaled

_WIDTHS = (512, 256, 128, 64)


class Volume3DConfig(VolumeGANConfig):
    """The settings of one 3D model; at 32 px its linear layer makes 2 x 2 positions instead of 4 x 4.

    init = paper initialises the generator HeNormal like the discriminator; the paper describes only TGAN's.
    """

    family: Literal["volume3d"] = "volume3d"

    @model_validator(mode="after")
    def _refuse_beta_without_gamma(self) -> Self:
        if self.bn_beta and self.regulariser == "none":
            raise ValueError(
                "bn_beta = True has no effect under regulariser = none, whose discriminator has no gamma or beta. "
                "Remove it or set model.regulariser=svc."
            )
        return self


class Volume3DGenerator(VolumeGenerator):
    """Linear 100 -> (512, 1, 4, 4), Conv3dT 256, 128, 64, 3, kernel 4, stride 2, padding 1; BN and ReLU, last tanh.

    We read "512 channels in the initial deconvolutional layer" as its input: then generator and discriminator have
    about the same size.
    """

    other_lengths = "a 3D model makes no others"

    config: Volume3DConfig

    def __init__(self, config: Volume3DConfig) -> None:
        super().__init__()
        self.config = config
        widths = tuple(scaled(channels, config.width) for channels in _WIDTHS)
        side = config.resolution // 16
        self.first_map = (widths[0], 1, side, side)
        self.linear = nn.Linear(config.dim_z, widths[0] * side**2)
        self.linear_norm = nn.BatchNorm1d(widths[0] * side**2)
        self.deconvolutions = nn.ModuleList(nn.ConvTranspose3d(i, o, 4, 2, 1) for i, o in pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm3d(n) for n in widths[1:])
        self.output = nn.ConvTranspose3d(widths[-1], config.n_colours, 4, 2, 1)

    def forward(self, z: Tensor, y: Tensor | None = None, n_frames: int | None = None) -> Tensor:
        """Videos (B, 16, 3, R, R) in [-1, 1]. z: (B, K_0) codes; labels y have no effect."""
        refuse_other_lengths(n_frames, self.other_lengths)
        x = relu(self.linear_norm(self.linear(z))).unflatten(1, self.first_map)
        for deconvolve, norm in zip(self.deconvolutions, self.norms, strict=True):
            x = relu(norm(deconvolve(x)))
        return self.output(x).tanh().transpose(1, 2)


class Volume3D(VolumeGAN[Volume3DConfig]):
    """The networks of one 3D model and its step."""

    generator: Volume3DGenerator

    config_type = Volume3DConfig
    generator_type = Volume3DGenerator
    facts = Facts(
        tiny={"resolution": 32, "width": 1 / 32, "dim_z": 6},
        n_parameters={"generator": 11_867_459, "video": 11_032_385},
        published_run=PUBLISHED_RUN,
        variants=({"regulariser": "none"}, {"regulariser": "weight_clip"}),
        other_values=OTHER_VALUES,
    )

    @classmethod
    def build(cls, config: Volume3DConfig) -> Self:
        generator = Volume3DGenerator(config)
        he_normal_(generator) if config.init == "paper" else uniform_(generator)
        return cls(config, generator, {"video": build_discriminator(config)})

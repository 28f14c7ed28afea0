"""Video GAN (Vondrick, Pirsiavash, Torralba, NIPS 2016): a moving foreground over a static background."""

import functools
import math
from dataclasses import dataclass
from typing import Literal, Self, overload

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from videogan.config import ConfigurationError
from videogan.constraints import singular_value_clipping_
from videogan.draws import draw_normal
from videogan.families.contract import (
    GAN,
    Colours,
    Discriminators,
    Draws,
    Facts,
    Fakes,
    FamilyConfig,
    Generator,
    Losses,
)
from videogan.losses import (
    CROSS_ENTROPY_OF_GUESSING,
    non_saturating_discriminator_loss,
    non_saturating_generator_loss,
    wasserstein_discriminator_loss,
    wasserstein_generator_loss,
)
from videogan.nets.conv3d import Conv3d
from videogan.nets.layer_noise import LayerNoise, draw_noise_seeds
from videogan.nets.precision import full_precision
from videogan.nets.strided_ladders import Convolutions, Layer, deconvolutions
from videogan.nets.width import scaled


class VGANConfig(FamilyConfig):
    """The settings of one Video GAN; the defaults are the paper's, else those of its authors' code."""

    family: Literal["vgan"] = "vgan"
    resolution: Literal[32, 64] = Field(64, description="Side of a frame (sec. 2.1: 64; 32 for small machines)")
    n_classes: int = Field(ge=1, description="K of the data set; the networks see no class")
    width: float = Field(1.0, gt=0, description="Scale of all channels")
    n_colours: Colours = 3
    n_frames: Literal[16, 32] = Field(32, description="T, clip length (sec. 2.1: 32; the TGAN paper's comparison: 16)")
    dim_z: int = Field(100, ge=1, description="Size of z (sec. 2.1)")
    lambda_mask: float = Field(0.1, ge=0, description="Weight of the L1 penalty on the mask (sec. 2.2: 0.1)")
    loss: Literal["bce", "wgan_svc"] = Field(
        "bce", description="Cross entropy (sec. 2.2), or WGAN with singular value clipping (TGAN sec. 6.3)"
    )
    n_clip: int = Field(5, ge=1, description="Generator steps between two clippings under wgan_svc (TGAN alg. 1)")
    noise_sigma: float = Field(
        0.0, ge=0, description="Standard deviation of noise on D's layers under bce (TGAN sec. 6.3: 0.2)"
    )
    norm: Literal["batch", "none"] = Field("batch", description="none: no batch norm, for exact data parallelism")

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> Self:
        if self.loss == "bce" and self.n_clip != type(self).model_fields["n_clip"].default:
            raise ValueError(
                f"n_clip = {self.n_clip} has no effect under loss = bce. Remove it or set model.loss=wgan_svc."
            )
        if self.loss == "wgan_svc" and self.noise_sigma > 0:
            raise ValueError(
                f"noise_sigma must be 0 under loss = wgan_svc (TGAN sec. 6.3), got {self.noise_sigma:g}. "
                "Remove it or set model.loss=bce."
            )
        return self

    @property
    def widths(self) -> list[int]:
        """Channels, fewest first: 64, 128, 256, 512. At 32 px there is one layer fewer, and 256 is the maximum."""
        return [scaled(64 << i, self.width) for i in range(int(math.log2(self.resolution // 4)))]

    @property
    def n_first_frames(self) -> int:
        """Time steps of the smallest map, which each layer doubles: 2, or 1 for T = 16 at 64 px."""
        return self.n_frames >> len(self.widths)


class VGANGenerator(Generator):
    """m(z) * f(z) + (1 - m(z)) * b(z): foreground f and mask m by 3-D, background b by 2-D deconvolutions (eq. 2)."""

    config: VGANConfig

    def __init__(self, config: VGANConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.dim_z, *reversed(config.widths)]
        norms = (nn.BatchNorm3d, nn.BatchNorm2d) if config.norm == "batch" else (nn.Identity, nn.Identity)
        self.foreground = deconvolutions(nn.ConvTranspose3d, norms[0], widths, (config.n_first_frames, 4, 4))
        self.background = deconvolutions(nn.ConvTranspose2d, norms[1], widths, (4, 4))
        self.foreground_head = nn.ConvTranspose3d(widths[-1], config.n_colours, 4, 2, 1)
        self.mask_head = nn.ConvTranspose3d(widths[-1], 1, 4, 2, 1)
        self.background_head = nn.ConvTranspose2d(widths[-1], config.n_colours, 4, 2, 1)

    def sample_z(
        self,
        n: int,
        generator: torch.Generator | None = None,
        n_frames: int | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """n codes on the networks' device, (n, dim_z); see the function `sample_z`. Refuses lengths as forward does."""
        self._refuse_other_lengths(n_frames)
        return sample_z(self.config, n, generator, truncation).to(self.device)

    @overload
    def forward(self, z: Tensor, y: Tensor | None = ..., n_frames: int | None = ...) -> Tensor: ...
    @overload
    def forward(
        self, z: Tensor, y: Tensor | None = ..., n_frames: int | None = ..., *, with_mask: bool
    ) -> tuple[Tensor, Tensor]: ...

    def forward(
        self, z: Tensor, y: Tensor | None = None, n_frames: int | None = None, *, with_mask: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Videos (B, T, 3, R, R) in [-1, 1]; with_mask: also the masks m (B, T, 1, R, R) in [0, 1], 1 being foreground.

        z: (B, dim_z); labels y have no effect. Raises ConfigurationError for another n_frames than the T that the
        networks are built for.
        """
        self._refuse_other_lengths(n_frames)
        features = self.foreground(z[:, :, None, None, None])
        foreground, mask = self.foreground_head(features).tanh(), self.mask_head(features).sigmoid()
        background = self.background_head(self.background(z[:, :, None, None])).tanh().unsqueeze(2)
        video = (mask * foreground + (1 - mask) * background).transpose(1, 2)
        return (video, mask.transpose(1, 2)) if with_mask else video

    def _refuse_other_lengths(self, n_frames: int | None) -> None:
        if n_frames not in (None, self.config.n_frames):
            raise ConfigurationError(
                f"n_frames must be the {self.config.n_frames} that this Video GAN was built for, got {n_frames}; "
                "its clips can't be longer or shorter."
            )


class VGANDiscriminator(nn.Module):
    """Conv3d 3-64-128-256-512, kernel 4, stride 2, then one over all remaining positions (sec. 2.2).

    Under bce it has two logits, as in the released code, and gives their difference, the log odds of being real; under
    wgan_svc one score. Noise is added after batch norm, which then has neither gamma nor beta (TGAN sec. 6.3).
    forward: video (B, T, 3, R, R) in [-1, 1], noise_seeds (B,) or None for no noise -> (B,) in fp32.
    """

    def __init__(self, config: VGANConfig) -> None:
        super().__init__()
        self.noise_sigma = config.noise_sigma
        self.layers = Convolutions(
            lambda n_in, n_out: Conv3d(n_in, n_out, 4, 2, 1),
            _norm_d(config),
            [config.n_colours, *config.widths],
            "activation",
        )
        n_outputs = 2 if config.loss == "bce" else 1
        self.top = nn.Conv3d(config.widths[-1], n_outputs, (config.n_first_frames, 4, 4))

    def forward(self, video: Tensor, noise_seeds: Tensor | None = None) -> Tensor:
        noise = LayerNoise(self.noise_sigma, noise_seeds)
        outputs = full_precision(self.top, self.layers(video.transpose(1, 2), noise)).flatten(1)
        return outputs[:, 0] - outputs[:, 1] if outputs.shape[1] == 2 else outputs[:, 0]


def _norm_d(config: VGANConfig) -> Layer:
    if config.norm == "none":
        return nn.Identity
    return functools.partial(nn.BatchNorm3d, eps=1e-3, affine=config.noise_sigma == 0)  # the released eps


def sample_z(
    config: VGANConfig, n: int, generator: torch.Generator | None = None, truncation: float | None = None
) -> Tensor:
    """z ~ N(0, 1), (n, dim_z) (sec. 2.1; the released code draws it normal); drawn on the CPU; see `draw_normal`."""
    return draw_normal(n, config.dim_z, generator, truncation)


@dataclass(frozen=True)
class MaskedFakes(Fakes):
    """Videos and their masks m (b, T, 1, R, R) in [0, 1]: 1 is foreground."""

    masks: Tensor


_FACTS = Facts(
    tiny={"resolution": 32, "n_frames": 16, "width": 1 / 32, "dim_z": 8},
    n_parameters={"generator": 16_245_383, "video": 11_057_858},
    published_run={
        "model.resolution": 64,
        "model.width": 1,
        "loop.n_d": 1,
        "optimiser.name": "adam",
        "optimiser.rate_g": 2e-4,
        "optimiser.rate_d": 2e-4,
        "optimiser.beta1": 0.5,
        "optimiser.beta2": 0.999,
    },
    variants=({"noise_sigma": 0.2}, {"loss": "wgan_svc"}),
    without_batch_norm={"norm": "none"},
    other_values={"n_clip": (2, {"loss": "wgan_svc"})},
)


@dataclass(frozen=True)
class VideoGAN(GAN[VGANConfig, MaskedFakes]):
    """The networks of one Video GAN and its step."""

    generator: VGANGenerator

    config_type = VGANConfig
    generator_type = VGANGenerator
    facts = _FACTS

    @classmethod
    def build(cls, config: VGANConfig) -> Self:
        generator = VGANGenerator(config)
        _initialise_(generator)
        video = VGANDiscriminator(config)
        _initialise_(video)
        return cls(config, generator, {"video": video})

    @classmethod
    def losses_of_guessing(cls, config: VGANConfig) -> dict[str, float]:
        return {"video": CROSS_ENTROPY_OF_GUESSING} if config.loss == "bce" else {}

    @classmethod
    def zero_is_undecided(cls, config: VGANConfig) -> bool:
        return config.loss == "bce"

    def draw(self, n: int, rng: torch.Generator, label_counts: Tensor, real_labels: Tensor) -> dict[str, Tensor]:
        """All random inputs of one update on n clips, on the CPU; see the contract.

        Returns z (n, dim_z), and the seeds of D's noise, if any, noise_real and noise_fake (n,).
        """
        draws = {"z": sample_z(self.config, n, rng)}
        if self.config.noise_sigma > 0:
            draws |= {"noise_real": draw_noise_seeds(n, rng), "noise_fake": draw_noise_seeds(n, rng)}
        return draws

    def generate(self, generator: nn.Module, draws: Draws) -> MaskedFakes:
        """b videos with their masks, which `generator_losses` penalises."""
        return MaskedFakes(*generator(draws["z"], None, self.config.n_frames, with_mask=True))

    def discriminator_losses(
        self, discriminators: Discriminators, real: Tensor, real_labels: Tensor, fakes: MaskedFakes, draws: Draws
    ) -> Losses:
        """The loss of D; labels are not used.

        bce: the sum of both cross entropies, twice the released code's mean; Adam's updates are the same.
        """
        video = discriminators["video"]
        scores = video(real, draws.get("noise_real")), video(fakes.videos.detach(), draws.get("noise_fake"))
        loss = non_saturating_discriminator_loss if self.config.loss == "bce" else wasserstein_discriminator_loss
        return {"video": loss(*scores)}

    def generator_losses(self, discriminators: Discriminators, fakes: MaskedFakes, draws: Draws) -> Losses:
        """The loss of G, and the sparsity of the mask, lambda |m|_1 per element (eq. 5)."""
        scores = discriminators["video"](fakes.videos, draws.get("noise_fake"))
        loss = non_saturating_generator_loss if self.config.loss == "bce" else wasserstein_generator_loss
        return {"video": loss(scores), "mask": self.config.lambda_mask * fakes.masks.float().mean()}

    def realness(self, videos: Tensor, labels: Tensor) -> Tensor:
        """The discriminator's scores; labels are not used."""
        return self.discriminators["video"](videos)

    def constrain_(self, step: int) -> None:
        """After D's update in step t, counted from 1: wgan_svc clips D where (t - 1) % n_clip == 0 (TGAN alg. 1)."""
        if self.config.loss == "wgan_svc" and (step - 1) % self.config.n_clip == 0:
            singular_value_clipping_(self.discriminators["video"])


def _initialise_(network: nn.Module) -> None:
    """Weights ~ N(0, 0.01), gamma ~ N(1, 0.02), biases and beta 0 (sec. 2.3; released code)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d | nn.ConvTranspose2d):
            _normal_(layer.weight, layer.bias, 0.0, 0.01)
        elif isinstance(layer, _BatchNorm) and layer.affine:
            _normal_(layer.weight, layer.bias, 1.0, 0.02)


def _normal_(weight: Tensor, bias: Tensor | None, mean: float, deviation: float) -> None:
    # On the meta device, where models are only counted, normal_ spends 10 s importing torch's compiler.
    if not weight.is_meta:
        nn.init.normal_(weight, mean, deviation)
        if bias is not None:
            nn.init.zeros_(bias)

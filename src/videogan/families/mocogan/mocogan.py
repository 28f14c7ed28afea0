"""MoCoGAN (Tulyakov, Liu, Yang, Kautz, CVPR 2018): a content code per video, a motion code per frame, a category."""

import functools
from dataclasses import dataclass
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from videogan.draws import draw_labels
from videogan.families.contract import GAN, Discriminators, Draws, Facts, Fakes, Losses
from videogan.families.mocogan.content_motion import (
    PUBLISHED_RUN,
    ContentMotionConfig,
    ContentMotionGenerator,
    ImageDiscriminator,
    draw_views,
    judged,
    sample_z,
)
from videogan.losses import (
    CROSS_ENTROPY_OF_GUESSING,
    non_saturating_discriminator_loss,
    non_saturating_generator_loss,
)
from videogan.nets.layer_noise import LayerNoise
from videogan.nets.precision import full_precision
from videogan.nets.strided_ladders import Convolutions
from videogan.nets.width import scaled

N_FRAMES_MIN = 16
"""The shortest clip that leaves D_V a time step: each of its convolutions shortens a clip by 3 frames, 4 x 3 + 4."""


class MoCoGANConfig(ContentMotionConfig):
    """The settings of one MoCoGAN; the defaults are those of its authors' code, where most details are."""

    family: Literal["mocogan"] = "mocogan"
    n_classes: int = Field(ge=1, description="K, size of the category code where conditional (sec. 3.3)")
    conditional: bool = Field(True, description="Category code, and category logits of D_V (sec. 3.3; released: on)")
    n_frames: int = Field(16, ge=N_FRAMES_MIN, description="T, clip length (released: 16)")
    d_image: Literal["patch", "dcgan"] = Field(
        "patch", description="D_I: a logit per patch (released default) or per frame"
    )
    d_video: Literal["whole", "patch"] = Field("whole", description="D_V: a logit per clip (released default) or patch")
    lambda_infogan: float = Field(1.0, ge=0, description="Weight of G's category term (sec. 3.3; released: 1, or off)")

    @model_validator(mode="after")
    def _refuse_impossible_settings(self) -> Self:
        problems = []
        if self.conditional and self.d_video == "patch":
            problems.append(
                "conditional = true needs D_V's category logits, which d_video = patch does not have. "
                "Set model.d_video=whole, or model.conditional=false."
            )
        if not self.conditional and self.lambda_infogan != type(self).model_fields["lambda_infogan"].default:
            problems.append(
                f"lambda_infogan = {self.lambda_infogan:g} has no effect without categories. "
                "Remove it or set model.conditional=true."
            )
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def is_conditional(self) -> bool:
        return self.conditional


class MoCoGANGenerator(ContentMotionGenerator):
    """The generator of one MoCoGAN."""

    config: MoCoGANConfig


class VideoDiscriminator(nn.Module):
    """D_V on whole clips, without bias: kernel 4, stride 1 and no padding in time (sec. 3.2; released code).

    whole: 64-128-256-512 (at 32 px without the last), then a 4 x 4 x 4 convolution, summed over the positions that it
    has at other sizes than 16 x 64 x 64; a logit and the category's. patch: 64-128-256 and a logit for each patch.
    Noise is added before each convolution but the last. forward: video (B, T, 3, R, R) in [-1, 1], noise_seeds (B,) or
    None for no noise -> (B, 1 + K), without categories (B, 1), patch (B, patches), in fp32.
    """

    def __init__(self, config: MoCoGANConfig) -> None:
        super().__init__()
        self.noise_sigma, self.is_patch = config.noise_sigma, config.d_video == "patch"
        n_rungs = 3 if self.is_patch or config.resolution == 32 else 4
        widths = [scaled(64 << i, config.width) for i in range(n_rungs)]
        stride, padding = (1, 2, 2), (0, 1, 1)
        self.layers = Convolutions(
            lambda n_in, n_out: nn.Conv3d(n_in, n_out, 4, stride, padding, bias=False),
            config.norm_layer(nn.BatchNorm3d),
            [config.n_colours, *widths],
            "convolution",
        )
        top = functools.partial(nn.Conv3d, widths[-1], 1 + config.dim_category, 4, bias=False)
        self.top = top(stride=stride, padding=padding) if self.is_patch else top()

    def forward(self, video: Tensor, noise_seeds: Tensor | None = None) -> Tensor:
        noise = LayerNoise(self.noise_sigma, noise_seeds)
        outputs = full_precision(self.top, self.layers(video.transpose(1, 2), noise))
        return outputs.flatten(1) if self.is_patch else outputs.flatten(2).sum(2)


_FACTS = Facts(
    tiny={"resolution": 32, "width": 1 / 32},
    n_parameters={"generator": 4_077_076, "image": 663_296, "video": 14_366_464},
    published_run=PUBLISHED_RUN,
    variants=({"conditional": False},),
    without_batch_norm={"norm": "none"},
    other_values={"d_video": ("patch", {"conditional": False})},
)


@dataclass(frozen=True)
class MoCoGAN(GAN[MoCoGANConfig, Fakes]):
    """The networks of one MoCoGAN and its step.

    The released code draws a separate image batch. Here D_I sees N frames of each clip of the one global batch, real
    and fake, chosen uniformly: each frame is still equally likely, and the mean of the losses' sum is the same.
    """

    generator: MoCoGANGenerator

    config_type = MoCoGANConfig
    generator_type = MoCoGANGenerator
    facts = _FACTS

    @classmethod
    def build(cls, config: MoCoGANConfig) -> Self:
        """Build the networks with torch's default initialisation."""
        generator = MoCoGANGenerator(config)
        image = ImageDiscriminator(config, config.d_image)
        return cls(config, generator, {"image": image, "video": VideoDiscriminator(config)})

    @classmethod
    def losses_of_guessing(cls, config: MoCoGANConfig) -> dict[str, float]:
        """Values of the image and video losses; the category loss does not measure realness."""
        return dict.fromkeys(("image", "video"), CROSS_ENTROPY_OF_GUESSING)

    def draw(self, n: int, rng: torch.Generator, label_counts: Tensor, real_labels: Tensor) -> dict[str, Tensor]:
        """All random inputs of one update on n clips, on the CPU; see the contract.

        Returns z (n, d_C + (T + 1) d_M), y (n,) uniform over the classes (released code) if conditional, the frames
        that D_I sees, frames_real and frames_fake (n, N), and the seeds of D's noise, if any, noise_real, noise_fake
        (n, 2).
        """
        z = sample_z(self.config, n, rng)
        # An unconditional model draws labels too: without them its frames would be others than in earlier versions.
        y = draw_labels("uniform", n, self.config.n_classes, rng, label_counts, real_labels)
        labels = {"y": y} if self.config.conditional else {}
        return {"z": z, **labels, **draw_views(self.config, n, rng)}

    def generate(self, generator: nn.Module, draws: Draws) -> Fakes:
        """Generate b fakes from the draws."""
        return Fakes(generator(draws["z"], draws.get("y"), self.config.n_frames))

    def discriminator_losses(
        self, discriminators: Discriminators, real: Tensor, real_labels: Tensor, fakes: Fakes, draws: Draws
    ) -> Losses:
        """Cross entropies of D_I and D_V, and of D_V's categories on real clips (sec. 3.2, 3.3)."""
        real_image, real_video = judged(discriminators, real, "real", draws)
        fake_image, fake_video = judged(discriminators, fakes.videos.detach(), "fake", draws)
        losses = {
            "image": non_saturating_discriminator_loss(real_image, fake_image),
            "video": non_saturating_discriminator_loss(self._logits(real_video), self._logits(fake_video)),
        }
        if self.config.conditional:
            losses["category"] = cross_entropy(real_video[:, 1:], real_labels)
        return losses

    def generator_losses(self, discriminators: Discriminators, fakes: Fakes, draws: Draws) -> Losses:
        """The non-saturating terms of G, and that of its category, -log Q(y | fake) by D_V (InfoGAN, sec. 3.3)."""
        image, video = judged(discriminators, fakes.videos, "fake", draws)
        losses = {
            "image": non_saturating_generator_loss(image),
            "video": non_saturating_generator_loss(self._logits(video)),
        }
        if self.config.conditional and self.config.lambda_infogan > 0:
            losses["category"] = self.config.lambda_infogan * cross_entropy(video[:, 1:], draws["y"])
        return losses

    def realness(self, videos: Tensor, labels: Tensor) -> Tensor:
        """The mean logit of D_I over all frames, plus that of D_V, plus log Q(y | video) if conditional."""
        image, video = self.discriminators["image"](videos), self.discriminators["video"](videos)
        realness = image.mean(1) + self._logits(video).mean(1)
        if not self.config.conditional:
            return realness
        return realness + video[:, 1:].log_softmax(1).gather(1, labels[:, None]).squeeze(1)

    def _logits(self, outputs: Tensor) -> Tensor:
        """The realness logits of D_V's `outputs`, without the category logits behind them."""
        return outputs[:, :1] if self.config.conditional else outputs

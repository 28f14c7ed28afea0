"""MDP (Yushchenko, Araslanov, Roth, arXiv 1909.12400): MoCoGAN with a critic that scores and values each moment."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, mse_loss, pad

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
from videogan.nets.conv3d import Conv3d
from videogan.nets.layer_noise import LayerNoise
from videogan.nets.precision import full_precision
from videogan.nets.width import scaled


class MDPConfig(ContentMotionConfig):
    """The settings of one MDP; the defaults are those of its authors' code, whose README swaps sigma and beta."""

    family: Literal["mdp"] = "mdp"
    n_classes: int = Field(ge=1, description="Classes of the data set; a generator without labels ignores them")
    n_frames: int = Field(16, ge=1, description="T, clip length (released: 16)")
    n_blocks: int = Field(3, ge=1, le=4, description="Blocks of D_V, each twice as dilated (released: 3)")
    kernel: int = Field(3, ge=1, description="Frames under each kernel of D_V (released: 3)")
    sigma: float = Field(0.9, gt=0, le=1, description="Discount of D_V's scores in V_t (released scripts: 0.9)")
    beta: float = Field(0.7, gt=0, le=1, description="Discount of the values in G's loss (released scripts: 0.7)")
    # The released code sums over clips and patches: at 64 px 16 patches, times its batch of 16, is 256 times the mean.
    lambda_value: float = Field(256.0, ge=0, description="Weight of G's value term, a mean (released: 256)")


class MDPGenerator(ContentMotionGenerator):
    """MoCoGAN's generator without categories."""

    config: MDPConfig


class CausalVideoDiscriminator(nn.Module):
    """D_V: a score s_t and a value g_t of each frame and patch, from that frame and those before it (released code).

    n_blocks blocks of noise, Conv3d (kernel, 4, 4), stride (1, 2, 2), dilation (2^i, 1, 1), batch norm, LeakyReLU 0.2;
    64, 128, 256 channels. Two heads Conv3d (1, 4, 4), stride (1, 2, 2). No biases. A frame sees (kernel - 1)
    (2^n_blocks - 1) = 14 frames before it; frames before the clip are zero.
    forward: video (B, T, 3, R, R) in [-1, 1], noise_seeds (B,) or None for no noise -> (B, 2, T, P): s and g of
    P = (R / 2^(n_blocks + 1))^2 patches, in fp32.
    """

    def __init__(self, config: MDPConfig) -> None:
        super().__init__()
        self.noise_sigma = config.noise_sigma
        widths = [config.n_colours, *(scaled(64 << i, config.width) for i in range(config.n_blocks))]
        self.n_past = [(config.kernel - 1) << i for i in range(config.n_blocks)]
        self.convolutions = nn.ModuleList(
            Conv3d(n_in, n_out, (config.kernel, 4, 4), (1, 2, 2), (0, 1, 1), (1 << i, 1, 1), bias=False)
            for i, (n_in, n_out) in enumerate(pairwise(widths))
        )
        self.norms = nn.ModuleList(config.norm_layer(nn.BatchNorm3d)(width) for width in widths[1:])
        self.score = _head(widths[-1])
        self.value = _head(widths[-1])

    def forward(self, video: Tensor, noise_seeds: Tensor | None = None) -> Tensor:
        x, noise = video.transpose(1, 2), LayerNoise(self.noise_sigma, noise_seeds)
        for convolution, norm, n_past in zip(self.convolutions, self.norms, self.n_past, strict=True):
            x = norm(convolution(pad(noise(x), (0, 0, 0, 0, n_past, 0))))
            x = leaky_relu(x, 0.2, inplace=True)
        return torch.stack([full_precision(head, x).squeeze(1).flatten(2) for head in (self.score, self.value)], dim=1)


def _head(n_in: int) -> Conv3d:
    return Conv3d(n_in, 1, (1, 4, 4), (1, 2, 2), (0, 1, 1), bias=False)


def discounted_means(scores: Tensor, sigma: float) -> Tensor:
    """V_t = 1 / (T - t + 1) sum_{t' = t}^T sigma^(t' - t) s_t', t from 1: what remains to be scored (released code).

    scores, the result: (b, T, P).
    """
    n_frames = scores.shape[1]
    t = torch.arange(n_frames, device=scores.device)
    ahead = t[None, :] - t[:, None]
    weights = (sigma**ahead).where(ahead >= 0, 0) / (n_frames - t)[:, None]
    return (weights[None, :, :, None] * scores[:, None]).sum(2)


def discounted_value(values: Tensor, beta: float) -> Tensor:
    """sum_{t = 1}^T beta^t g_t, averaged over clips and patches; values: (b, T, P)."""
    t = torch.arange(1, values.shape[1] + 1, device=values.device)
    return (beta**t * values.mean((0, 2))).sum()


_FACTS = Facts(
    tiny={"resolution": 32, "width": 1 / 32},
    n_parameters={"generator": 3_249_684, "image": 663_296, "video": 1_984_384},
    published_run={**PUBLISHED_RUN, "loop.batch_size": 16},
    variants=({"n_blocks": 4},),
    without_batch_norm={"norm": "none"},
    other_values={"sigma": (0.5, {}), "beta": (0.5, {})},
)


@dataclass(frozen=True)
class MDP(GAN[MDPConfig, Fakes]):
    """The networks of one MDP and its step. As in MoCoGAN, D_I sees N frames of each clip of the one global batch.

    The step is an ordinary backward pass through the frames: the released code has no policy gradient.
    """

    generator: MDPGenerator

    config_type = MDPConfig
    generator_type = MDPGenerator
    facts = _FACTS

    @classmethod
    def build(cls, config: MDPConfig) -> Self:
        """Build the networks with torch's default initialisation."""
        image, video = ImageDiscriminator(config, "patch"), CausalVideoDiscriminator(config)
        return cls(config, MDPGenerator(config), {"image": image, "video": video})

    @classmethod
    def losses_of_guessing(cls, config: MDPConfig) -> dict[str, float]:
        """Values of the image and video losses; the value loss does not measure realness."""
        return dict.fromkeys(("image", "video"), CROSS_ENTROPY_OF_GUESSING)

    def draw(self, n: int, rng: torch.Generator, label_counts: Tensor, real_labels: Tensor) -> dict[str, Tensor]:
        """All random inputs of one update on n clips, on the CPU: z (n, d_C + (T + 1) d_M), and see `draw_views`."""
        return {"z": sample_z(self.config, n, rng), **draw_views(self.config, n, rng)}

    def generate(self, generator: nn.Module, draws: Draws) -> Fakes:
        """Generate b fakes from the draws."""
        return Fakes(generator(draws["z"], None, self.config.n_frames))

    def discriminator_losses(
        self, discriminators: Discriminators, real: Tensor, real_labels: Tensor, fakes: Fakes, draws: Draws
    ) -> Losses:
        """Cross entropies of D_I and of the scores s, and the squared errors of the values g_t from V_t.

        The gradient of the squared errors reaches the scores through V_t too, as in the released code.
        """
        real_image, on_real = judged(discriminators, real, "real", draws)
        fake_image, on_fake = judged(discriminators, fakes.videos.detach(), "fake", draws)
        (real_scores, real_values), (fake_scores, fake_values) = on_real.unbind(1), on_fake.unbind(1)
        sigma = self.config.sigma
        return {
            "image": non_saturating_discriminator_loss(real_image, fake_image),
            "video": non_saturating_discriminator_loss(real_scores, fake_scores),
            "value": mse_loss(real_values, discounted_means(real_scores, sigma))
            + mse_loss(fake_values, discounted_means(fake_scores, sigma)),
        }

    def generator_losses(self, discriminators: Discriminators, fakes: Fakes, draws: Draws) -> Losses:
        """The non-saturating terms of G, and minus the discounted sum of the values, weighted by lambda_value."""
        image, on_fake = judged(discriminators, fakes.videos, "fake", draws)
        scores, values = on_fake.unbind(1)
        return {
            "image": non_saturating_generator_loss(image),
            "video": non_saturating_generator_loss(scores),
            "value": -self.config.lambda_value * discounted_value(values, self.config.beta),
        }

    def realness(self, videos: Tensor, labels: Tensor) -> Tensor:
        """The mean logit of D_I over all frames, plus the mean score of D_V."""
        scores = self.discriminators["video"](videos)[:, 0]
        return self.discriminators["image"](videos).mean(1) + scores.mean((1, 2))

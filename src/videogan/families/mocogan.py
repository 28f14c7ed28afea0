"""MoCoGAN (Tulyakov, Liu, Yang, Kautz, CVPR 2018): a content code per video, a motion code per frame, a category."""

import functools
from dataclasses import dataclass
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from videogan.draws import draw_frames, draw_labels, draw_normal, frames_at
from videogan.families.contract import GAN, Discriminators, Draws, Facts, Fakes, FamilyConfig, Generator, Losses
from videogan.losses import (
    CROSS_ENTROPY_OF_GUESSING,
    non_saturating_discriminator_loss,
    non_saturating_generator_loss,
)
from videogan.nets.layer_noise import LayerNoise, draw_noise_seeds
from videogan.nets.precision import full_precision
from videogan.nets.strided_ladders import Convolutions, Layer, deconvolutions
from videogan.nets.width import scaled

N_FRAMES_MIN = 16
"""The shortest clip that leaves D_V a time step: each of its convolutions shortens a clip by 3 frames, 4 x 3 + 4."""
_RUNGS = {32: 3, 64: 4, 96: 5, 128: 5}
"""How often G doubles and D_I halves the side of a frame, from and to 4 positions (at 96 px 3)."""


class MoCoGANConfig(FamilyConfig):
    """The settings of one MoCoGAN; the defaults are those of its authors' code, where most details are."""

    family: Literal["mocogan"] = "mocogan"
    resolution: Literal[32, 64, 96, 128] = Field(
        64, description="Side of a frame (released: 64; others shorten or extend the ladders)"
    )
    n_classes: int = Field(ge=1, description="K, size of the category code where conditional (sec. 3.3)")
    conditional: bool = Field(True, description="Category code, and category logits of D_V (sec. 3.3; released: on)")
    width: float = Field(1.0, gt=0, description="Scale of all channels but the codes'")
    n_frames: int = Field(16, ge=N_FRAMES_MIN, description="T, clip length (released: 16)")
    n_frames_image: int = Field(1, ge=1, description="N, frames that D_I sees of each clip of the batch")
    dim_content: int = Field(50, ge=1, description="Size of z_C (released: 50)")
    dim_motion: int = Field(10, ge=1, description="Size of z_M, which is also the GRU's (released: 10)")
    d_image: Literal["patch", "dcgan"] = Field(
        "patch", description="D_I: a logit per patch (released default) or per frame"
    )
    d_video: Literal["whole", "patch"] = Field("whole", description="D_V: a logit per clip (released default) or patch")
    noise_sigma: float = Field(
        0.1, ge=0, description="Standard deviation of noise on D's layers (released option: 0.1)"
    )
    lambda_infogan: float = Field(1.0, ge=0, description="Weight of G's category term (sec. 3.3; released: 1, or off)")
    norm: Literal["batch", "none"] = Field("batch", description="none: no batch norm, for exact data parallelism")

    @model_validator(mode="after")
    def _refuse_impossible_settings(self) -> Self:
        problems = []
        if self.n_frames_image > self.n_frames:
            problems.append(
                f"n_frames_image (N) = {self.n_frames_image} is more than the clip length T = {self.n_frames}. "
                "Lower model.n_frames_image."
            )
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

    @property
    def dim_category(self) -> int:
        """Size of the category code: K, or 0 if unconditional."""
        return self.n_classes if self.conditional else 0

    @property
    def image_widths(self) -> list[int]:
        """Channels of the layers over frames, fewest first: 64, 128, 256, 512 at 64 px."""
        return [scaled(64 << i, self.width) for i in range(_RUNGS[self.resolution])]

    @property
    def side(self) -> int:
        """Positions per side of the smallest maps: 4, and 3 at 96 px."""
        return self.resolution >> _RUNGS[self.resolution]

    def norm_layer(self, batch_norm: Layer) -> Layer:
        """`batch_norm`, or the identity if norm = none."""
        return batch_norm if self.norm == "batch" else nn.Identity


class MoCoGANGenerator(Generator):
    """R_M, a GRU from per-frame noise to motion codes, and G_I, a DCGAN on [z_C; z_category; z_M^t] (sec. 3.1)."""

    config: MoCoGANConfig

    def __init__(self, config: MoCoGANConfig) -> None:
        super().__init__()
        self.config = config
        widths = list(reversed(config.image_widths))
        dim = config.dim_content + config.dim_category + config.dim_motion
        self.recurrent = nn.GRUCell(config.dim_motion, config.dim_motion)
        self.image = deconvolutions(
            functools.partial(nn.ConvTranspose2d, bias=False),
            config.norm_layer(nn.BatchNorm2d),
            [dim, *widths],
            (config.side, config.side),
        )
        self.image_head = nn.ConvTranspose2d(widths[-1], 3, 4, 2, 1, bias=False)

    @property
    def subspaces(self) -> dict[str, slice]:
        """The content code, and h_0 with the noise of the frames, which make the motion (sec. 3.1)."""
        return {"content": slice(0, self.config.dim_content), "motion": slice(self.config.dim_content, None)}

    def sample_z(
        self,
        n: int,
        generator: torch.Generator | None = None,
        n_frames: int | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """n codes on the networks' device, (n, d_C + (T + 1) d_M); see the function `sample_z`."""
        return sample_z(self.config, n, generator, n_frames, truncation).to(self.device)

    def forward(self, z: Tensor, y: Tensor | None = None, n_frames: int | None = None) -> Tensor:
        """Videos (B, T, 3, R, R) in [-1, 1]; T is n_frames, or all that z has noise for.

        z: (B, d_C + (T + 1) d_M); y: (B,) integer labels, or (B, K) mixtures of classes; an unconditional generator
        ignores it. Raises ValueError if z has noise for fewer frames than n_frames.
        """
        content, noise = z[:, : self.config.dim_content], z[:, self.config.dim_content :]
        hidden, *steps = noise.unflatten(1, (-1, self.config.dim_motion)).unbind(1)
        n_frames = len(steps) if n_frames is None else n_frames
        if n_frames > len(steps):
            raise ValueError(
                f"z must have noise for the {n_frames} frames asked for, got it for {len(steps)}; "
                f"draw it with sample_z(n, n_frames={n_frames})."
            )
        motion = []
        for noise_t in steps[:n_frames]:
            hidden = self.recurrent(noise_t, hidden)
            motion.append(hidden)
        still = [content] if not self.config.conditional else [content, self._category(y).to(content.dtype)]
        codes = [torch.cat([*still, motion_t.to(content.dtype)], dim=1) for motion_t in motion]
        frames = self.image(torch.stack(codes, dim=1).flatten(0, 1)[:, :, None, None])
        return self.image_head(frames).tanh().unflatten(0, (len(z), n_frames))

    def _category(self, y: Tensor | None) -> Tensor:
        if y is None:
            raise ValueError("a conditional MoCoGAN needs labels y, got none.")
        return y if y.is_floating_point() else self.class_vectors(y)


class ImageDiscriminator(nn.Module):
    """D_I on single frames, without bias: DCGAN's, or 64-128-256 and a logit for each patch (sec. 3.2; released code).

    Noise is added before each convolution, except DCGAN's last.
    forward: frames (b, N, 3, R, R) in [-1, 1], noise_seeds (b,) or None for no noise -> (b, N * patches), in fp32.
    """

    def __init__(self, config: MoCoGANConfig) -> None:
        super().__init__()
        self.noise_sigma, self.is_patch = config.noise_sigma, config.d_image == "patch"
        widths = [scaled(c, config.width) for c in (64, 128, 256)] if self.is_patch else config.image_widths
        self.layers = Convolutions(
            lambda n_in, n_out: nn.Conv2d(n_in, n_out, 4, 2, 1, bias=False),
            config.norm_layer(nn.BatchNorm2d),
            [3, *widths],
            "convolution",
        )
        top = functools.partial(nn.Conv2d, widths[-1], 1, bias=False)
        self.top = top(4, 2, 1) if self.is_patch else top(config.side)

    def forward(self, frames: Tensor, noise_seeds: Tensor | None = None) -> Tensor:
        noise = LayerNoise(self.noise_sigma, noise_seeds)
        features = self.layers(frames.flatten(0, 1), noise)
        outputs = full_precision(self.top, noise(features) if self.is_patch else features)
        return outputs.flatten(1).view(len(frames), -1)


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
            [3, *widths],
            "convolution",
        )
        top = functools.partial(nn.Conv3d, widths[-1], 1 + config.dim_category, 4, bias=False)
        self.top = top(stride=stride, padding=padding) if self.is_patch else top()

    def forward(self, video: Tensor, noise_seeds: Tensor | None = None) -> Tensor:
        noise = LayerNoise(self.noise_sigma, noise_seeds)
        outputs = full_precision(self.top, self.layers(video.transpose(1, 2), noise))
        return outputs.flatten(1) if self.is_patch else outputs.flatten(2).sum(2)


def sample_z(
    config: MoCoGANConfig,
    n: int,
    generator: torch.Generator | None = None,
    n_frames: int | None = None,
    truncation: float | None = None,
) -> Tensor:
    """n codes ~ N(0, 1), (n, d_C + (T + 1) d_M), drawn on the CPU: z_C, the GRU's h_0, noise of T frames (sec. 3.1).

    n_frames: T of the codes, by default the configuration's. A longer code starts with the shorter one of the same
    seed. truncation: see `draw_normal`.
    """
    n_frames = config.n_frames if n_frames is None else n_frames
    own = draw_normal(n, config.dim_content + (1 + config.n_frames) * config.dim_motion, generator, truncation)
    more = draw_normal(n, max(0, n_frames - config.n_frames) * config.dim_motion, generator, truncation)
    return torch.cat([own, more], dim=1)[:, : config.dim_content + (1 + n_frames) * config.dim_motion]


_FACTS = Facts(
    tiny={"resolution": 32, "width": 1 / 32},
    n_parameters={"generator": 4_077_076, "image": 663_296, "video": 14_366_464},
    published_run={
        "model.resolution": 64,
        "model.width": 1,
        "loop.n_d": 1,
        "optimiser.name": "adam",
        "optimiser.rate_g": 2e-4,
        "optimiser.rate_d": 2e-4,
        "optimiser.beta1": 0.5,
        "optimiser.beta2": 0.999,
        "optimiser.weight_decay": 1e-5,
    },
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
        return cls(config, generator, {"image": ImageDiscriminator(config), "video": VideoDiscriminator(config)})

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
        draws = {"z": z, "frames_real": self._draw_frames(n, rng), "frames_fake": self._draw_frames(n, rng)}
        if self.config.conditional:
            draws["y"] = y
        if self.config.noise_sigma > 0:
            draws |= {f"noise_{of}": draw_noise_seeds(2 * n, rng).view(n, 2) for of in ("real", "fake")}
        return draws

    def generate(self, generator: nn.Module, draws: Draws) -> Fakes:
        """Generate b fakes from the draws."""
        return Fakes(generator(draws["z"], draws.get("y"), self.config.n_frames))

    def discriminator_losses(
        self, discriminators: Discriminators, real: Tensor, real_labels: Tensor, fakes: Fakes, draws: Draws
    ) -> Losses:
        """Cross entropies of D_I and D_V, and of D_V's categories on real clips (sec. 3.2, 3.3)."""
        real_image, real_video, categories = self._judged(discriminators, real, "real", draws)
        fake_image, fake_video, _ = self._judged(discriminators, fakes.videos.detach(), "fake", draws)
        losses = {
            "image": non_saturating_discriminator_loss(real_image, fake_image),
            "video": non_saturating_discriminator_loss(real_video, fake_video),
        }
        return losses | ({"category": cross_entropy(categories, real_labels)} if self.config.conditional else {})

    def generator_losses(self, discriminators: Discriminators, fakes: Fakes, draws: Draws) -> Losses:
        """The non-saturating terms of G, and that of its category, -log Q(y | fake) by D_V (InfoGAN, sec. 3.3)."""
        image, video, categories = self._judged(discriminators, fakes.videos, "fake", draws)
        losses = {"image": non_saturating_generator_loss(image), "video": non_saturating_generator_loss(video)}
        if self.config.conditional and self.config.lambda_infogan > 0:
            losses["category"] = self.config.lambda_infogan * cross_entropy(categories, draws["y"])
        return losses

    def realness(self, videos: Tensor, labels: Tensor) -> Tensor:
        """The mean logit of D_I over all frames, plus that of D_V, plus log Q(y | video) if conditional."""
        image, video = self.discriminators["image"](videos), self.discriminators["video"](videos)
        realness = image.mean(1) + self._logits(video).mean(1)
        if not self.config.conditional:
            return realness
        return realness + video[:, 1:].log_softmax(1).gather(1, labels[:, None]).squeeze(1)

    def _judged(
        self, discriminators: Discriminators, videos: Tensor, of: str, draws: Draws
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of D_I on the drawn frames, logits of D_V, and its category logits (b, K), each with its own noise."""
        seeds_image, seeds_video = draws[f"noise_{of}"].unbind(1) if self.config.noise_sigma > 0 else (None, None)
        image = discriminators["image"](frames_at(videos, draws[f"frames_{of}"]), seeds_image)
        video = discriminators["video"](videos, seeds_video)
        return image, self._logits(video), video[:, 1:]

    def _logits(self, outputs: Tensor) -> Tensor:
        """The realness logits of D_V's `outputs`, without the category logits behind them."""
        return outputs[:, :1] if self.config.conditional else outputs

    def _draw_frames(self, n: int, rng: torch.Generator) -> Tensor:
        """N distinct frames of each clip, (n, N), in order."""
        return draw_frames(n, self.config.n_frames, self.config.n_frames_image, rng)

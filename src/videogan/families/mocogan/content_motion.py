"""Shared by MoCoGAN and MDP: settings, the generator of content and motion codes, the discriminator of frames."""

import functools
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from videogan.draws import draw_frames, draw_normal, frames_at
from videogan.families.contract import Colours, Discriminators, Draws, FamilyConfig, Generator, Settings
from videogan.nets.layer_noise import LayerNoise, draw_noise_seeds
from videogan.nets.precision import full_precision
from videogan.nets.strided_ladders import Convolutions, Layer, deconvolutions
from videogan.nets.width import scaled

_RUNGS = {32: 3, 64: 4, 96: 5, 128: 5}
"""How often G doubles and D_I halves the side of a frame, from and to 4 positions (at 96 px 3)."""


class ContentMotionConfig(FamilyConfig):
    """The shared settings; the defaults are those of MoCoGAN's authors' code, where most details are."""

    resolution: Literal[32, 64, 96, 128] = Field(
        64, description="Side of a frame (released: 64; others shorten or extend the ladders)"
    )
    n_colours: Colours = 3
    width: float = Field(1.0, gt=0, description="Scale of all channels but the codes'")
    n_frames_image: int = Field(1, ge=1, description="N, frames that D_I sees of each clip of the batch")
    dim_content: int = Field(50, ge=1, description="Size of z_C (released: 50)")
    dim_motion: int = Field(10, ge=1, description="Size of z_M, which is also the GRU's (released: 10)")
    noise_sigma: float = Field(
        0.1, ge=0, description="Standard deviation of noise on D's layers (released option: 0.1)"
    )
    norm: Literal["batch", "none"] = Field("batch", description="none: no batch norm, for exact data parallelism")

    @model_validator(mode="after")
    def _refuse_more_frames_than_a_clip_has(self) -> Self:
        if self.n_frames_image > self.n_frames:
            raise ValueError(
                f"n_frames_image (N) = {self.n_frames_image} is more than the clip length T = {self.n_frames}. "
                "Lower model.n_frames_image."
            )
        return self

    @property
    def dim_category(self) -> int:
        """Size of the category code: K, or 0 if unconditional."""
        return self.n_classes if self.is_conditional else 0

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


class ContentMotionGenerator(Generator):
    """R_M, a GRU from per-frame noise to motion codes, and G_I, a DCGAN on [z_C; z_category; z_M^t] (sec. 3.1)."""

    config: ContentMotionConfig

    def __init__(self, config: ContentMotionConfig) -> None:
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
        self.image_head = nn.ConvTranspose2d(widths[-1], config.n_colours, 4, 2, 1, bias=False)

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
        still = [content] if not self.config.is_conditional else [content, self._category(y).to(content.dtype)]
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

    def __init__(self, config: ContentMotionConfig, kind: Literal["patch", "dcgan"]) -> None:
        super().__init__()
        self.noise_sigma, self.is_patch = config.noise_sigma, kind == "patch"
        widths = [scaled(c, config.width) for c in (64, 128, 256)] if self.is_patch else config.image_widths
        self.layers = Convolutions(
            lambda n_in, n_out: nn.Conv2d(n_in, n_out, 4, 2, 1, bias=False),
            config.norm_layer(nn.BatchNorm2d),
            [config.n_colours, *widths],
            "convolution",
        )
        top = functools.partial(nn.Conv2d, widths[-1], 1, bias=False)
        self.top = top(4, 2, 1) if self.is_patch else top(config.side)

    def forward(self, frames: Tensor, noise_seeds: Tensor | None = None) -> Tensor:
        noise = LayerNoise(self.noise_sigma, noise_seeds)
        features = self.layers(frames.flatten(0, 1), noise)
        outputs = full_precision(self.top, noise(features) if self.is_patch else features)
        return outputs.flatten(1).view(len(frames), -1)


def sample_z(
    config: ContentMotionConfig,
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


def draw_views(config: ContentMotionConfig, n: int, rng: torch.Generator) -> dict[str, Tensor]:
    """What the discriminators see of n clips: the frames of D_I, and the seeds of both discriminators' noise, if any.

    frames_real and frames_fake (n, N): distinct frames of each clip, in order. noise_real and noise_fake (n, 2).
    """
    draws = {f"frames_{of}": draw_frames(n, config.n_frames, config.n_frames_image, rng) for of in ("real", "fake")}
    if config.noise_sigma > 0:
        draws |= {f"noise_{of}": draw_noise_seeds(2 * n, rng).view(n, 2) for of in ("real", "fake")}
    return draws


def judged(
    discriminators: Discriminators, videos: Tensor, of: Literal["real", "fake"], draws: Draws
) -> tuple[Tensor, Tensor]:
    """Logits of D_I on the drawn frames, and the output of D_V, each with its own noise."""
    seeds_image, seeds_video = draws[f"noise_{of}"].unbind(1) if f"noise_{of}" in draws else (None, None)
    image = discriminators["image"](frames_at(videos, draws[f"frames_{of}"]), seeds_image)
    return image, discriminators["video"](videos, seeds_video)


PUBLISHED_RUN: Settings = {
    "model.resolution": 64,
    "model.width": 1,
    "loop.n_d": 1,
    "optimiser.name": "adam",
    "optimiser.rate_g": 2e-4,
    "optimiser.rate_d": 2e-4,
    "optimiser.beta1": 0.5,
    "optimiser.beta2": 0.999,
    "optimiser.weight_decay": 1e-5,
}
"""MoCoGAN's released optimiser, which MDP's authors kept."""

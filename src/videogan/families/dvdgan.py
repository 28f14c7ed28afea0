"""DVD-GAN (Clark, Donahue, Simonyan, arXiv 1907.06571 v2): a recurrent BigGAN, judged by frames and at low resolution.

Its authors released no code, so this follows readers' notes on the paper, and BigGAN where they are silent. The widths
of the levels, the GRU's activation and Adam's betas could not be checked against the paper.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu

from videogan.config import ConfigurationError
from videogan.draws import draw_frames, draw_labels, draw_normal, evenly_spaced, frames_at
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
from videogan.losses import HINGE_OF_GUESSING, hinge_discriminator_loss, hinge_generator_loss
from videogan.nets.conditional_norm import Normalisation
from videogan.nets.conv_gru import CandidateActivation, ConvGRU
from videogan.nets.initialisation import initialise_
from videogan.nets.narrow_norm import own_batch_norm
from videogan.nets.projection_head import ProjectionHead
from videogan.nets.recomputation import Recomputing
from videogan.nets.resblocks import DownBlock, UpBlock
from videogan.nets.spectral_norm import normalise_spectrally
from videogan.nets.volume_resblocks import DownBlock3d

_FIRST_MULTIPLE = 8
_GENERATOR_MULTIPLES = {32: (8, 4, 2), 64: (8, 8, 4, 2), 96: (8, 8, 4, 2, 1), 128: (8, 8, 4, 2, 1)}
"""Channels of G's first map and after each of its groups, in multiples of a; the paper trains at 64 and 128 px."""
_DISCRIMINATOR_MULTIPLES = {
    32: (4, 8, 16, 16),
    64: (2, 4, 8, 16, 16),
    96: (1, 2, 4, 8, 16, 16),
    128: (1, 2, 4, 8, 16, 16),
}
"""Channels after each block of both discriminators, in multiples of a."""


class DVDGANConfig(FamilyConfig):
    """The settings of one DVD-GAN; the defaults are those of the paper's UCF-101 model at 128 px."""

    family: Literal["dvdgan"] = "dvdgan"
    resolution: Literal[32, 64, 96, 128] = Field(128, description="Side of a frame (paper: 64, 128)")
    n_classes: int = Field(ge=1, description="K, rows of the class embeddings")
    n_colours: Colours = 3
    conditional: bool = Field(True, description="Labels; without them e(y) is one learned vector, our choice")
    channels: int = Field(
        96, ge=1, description="a, the width of all networks (paper, unchecked: 128 at 64 px, else 96)"
    )
    n_frames: int = Field(16, ge=2, description="T, clip length (UCF-101: 16)")
    dim_z: int = Field(120, ge=1, description="Size of z (paper: 120)")
    dim_embedding: int = Field(120, ge=1, description="Size of e(y) (paper: 120)")
    gru_activation: CandidateActivation = Field(
        "relu", description="Activation of a ConvGRU's candidate (paper, unchecked: relu)"
    )
    n_frames_image: int = Field(8, ge=1, description="k, frames that D_S sees (paper: 8)")
    phi: Literal[1, 2, 4] = Field(2, description="Factor of the pooling before D_T (paper: 2)")
    lambda_temporal: float = Field(1.0, gt=0, description="Weight of D_T's terms (paper: none, 1)")
    norm: Normalisation = Field("batch", description="none: gain and bias alone, for exact data parallelism")

    @model_validator(mode="after")
    def _refuse_impossible_settings(self) -> Self:
        problems = []
        if self.n_frames_image > self.n_frames:
            problems.append(
                f"n_frames_image (k) = {self.n_frames_image} is more than the clip length T = {self.n_frames}. "
                "Lower model.n_frames_image."
            )
        if self.resolution // self.phi < 1 << self.n_halvings:
            problems.append(
                f"phi = {self.phi} leaves D_T {self.resolution // self.phi} px, which it cannot halve "
                f"{self.n_halvings} times. Lower model.phi."
            )
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def is_conditional(self) -> bool:
        return self.conditional

    @property
    def n_labels(self) -> int:
        """Rows of the embeddings: K, or 1 without labels."""
        return self.n_classes if self.conditional else 1

    @property
    def dim_condition(self) -> int:
        """Size of [z; e(y)]."""
        return self.dim_z + self.dim_embedding

    @property
    def generator_widths(self) -> list[int]:
        """Channels of G's first map, then after each group; a group doubles the side."""
        return [self.channels * multiple for multiple in (_FIRST_MULTIPLE, *_GENERATOR_MULTIPLES[self.resolution])]

    @property
    def discriminator_widths(self) -> list[int]:
        """Channels of a frame, then after each block; all blocks but the last halve the side."""
        return [self.n_colours, *(self.channels * multiple for multiple in _DISCRIMINATOR_MULTIPLES[self.resolution])]

    @property
    def n_halvings(self) -> int:
        """How often a discriminator halves the side."""
        return len(_DISCRIMINATOR_MULTIPLES[self.resolution]) - 1


class Group(nn.Module):
    """A ConvGRU over the frames, then frame by frame two residual blocks, of which the second doubles the side.

    maps (B, T, n_in, H, W), or (B, 1, n_in, H, W) for the same map in each frame, condition (B, d) ->
    (B, T, n_out, 2H, 2W).
    """

    def __init__(self, n_in: int, n_out: int, config: DVDGANConfig) -> None:
        super().__init__()
        self.n_frames = config.n_frames
        self.gru = ConvGRU(n_in, config.gru_activation)
        self.block = UpBlock(n_in, n_in, config.dim_condition, config.norm, n_steps=self.n_frames, up=False)
        self.up_block = UpBlock(n_in, n_out, config.dim_condition, config.norm, n_steps=self.n_frames)

    def forward(self, maps: Tensor, condition: Tensor) -> Tensor:
        x = self.gru(maps, self.n_frames).flatten(0, 1)
        x = self.block(x, x, condition)
        return self.up_block(x, x, condition).unflatten(0, (-1, self.n_frames))


class DVDGANGenerator(Generator, Recomputing):
    """G: c = [z; e(y)] -> linear -> groups -> BN-ReLU-conv-tanh; c also sets each group's conditional norms.

    No attention, our choice: version 2 of the paper has recurrence in each group, and may keep some beside it.
    """

    config: DVDGANConfig

    def __init__(self, config: DVDGANConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.generator_widths
        side = config.resolution >> (len(widths) - 1)
        self.first_map = (widths[0], side, side)
        self.embedding = nn.Embedding(config.n_labels, config.dim_embedding)
        self.linear = nn.Linear(config.dim_condition, widths[0] * side**2)
        self.groups = nn.ModuleList(Group(n_in, n_out, config) for n_in, n_out in pairwise(widths))
        self.norm = nn.BatchNorm2d(widths[-1]) if config.norm == "batch" else nn.Identity()
        self.output = nn.Conv2d(widths[-1], config.n_colours, 3, padding=1)

    def sample_z(
        self,
        n: int,
        generator: torch.Generator | None = None,
        n_frames: int | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """z ~ N(0, 1), (n, dim_z), on the networks' device; see `draw_normal`. Refuses lengths other than T."""
        self._refuse_other_lengths(n_frames)
        return draw_normal(n, self.config.dim_z, generator, truncation).to(self.device)

    def class_vectors(self, y: Tensor) -> Tensor:
        """e(y), (n, dim_embedding), of labels (n,)."""
        return self.embedding(y if self.config.conditional else torch.zeros_like(y))

    def forward(self, z: Tensor, y: Tensor, n_frames: int | None = None) -> Tensor:
        """Videos (B, T, 3, R, R) in [-1, 1].

        z: (B, dim_z) codes; y: (B,) integer labels, or (B, dim_embedding) embeddings such as mixtures of two classes.
        """
        self._refuse_other_lengths(n_frames)
        condition = torch.cat([z, y if y.is_floating_point() else self.class_vectors(y)], dim=1)
        maps = self.linear(condition).unflatten(1, self.first_map)[:, None]
        for group in self.groups:
            maps = self.run(group, maps, condition)
        x = maps.flatten(0, 1)
        if isinstance(self.norm, nn.BatchNorm2d):
            x = own_batch_norm(self.norm, x)
        return self.output(relu(x)).tanh().unflatten(0, (len(z), -1))

    def _refuse_other_lengths(self, n_frames: int | None) -> None:
        if n_frames not in (None, self.config.n_frames):
            raise ConfigurationError(
                f"n_frames must be the {self.config.n_frames} that this DVD-GAN has batch statistics for, got "
                f"{n_frames}; its clips can't be longer or shorter."
            )


class SpatialDiscriminator(Recomputing):
    """D_S: BigGAN's residual discriminator on k frames; the frames' features are summed before the head.

    forward: frames (B, k, 3, R, R) in [-1, 1], y (B,) integer labels -> (B,) logits.
    """

    def __init__(self, config: DVDGANConfig) -> None:
        super().__init__()
        widths = config.discriminator_widths
        self.blocks = nn.Sequential(
            *(
                DownBlock(n_in, n_out, preactivation=i > 0, down=i < config.n_halvings)
                for i, (n_in, n_out) in enumerate(pairwise(widths))
            )
        )
        self.head = ProjectionHead(widths[-1], config.n_labels)

    def forward(self, frames: Tensor, y: Tensor) -> Tensor:
        x = frames.flatten(0, 1)
        for block in self.blocks:
            x = self.run(block, x)
        return self.head(relu(x).unflatten(0, frames.shape[:2]).transpose(1, 2), y)


class TemporalDiscriminator(Recomputing):
    """D_T: whole clips, pooled by phi; D_S's blocks, the first two of them with 3-D kernels.

    Time is never pooled: the paper changes nothing but the kernels.
    forward: video (B, T, 3, R, R) in [-1, 1], y (B,) integer labels -> (B,) logits.
    """

    def __init__(self, config: DVDGANConfig) -> None:
        super().__init__()
        self.phi = config.phi
        first, second, third, *widths = config.discriminator_widths
        self.clip_blocks = nn.Sequential(DownBlock3d(first, second, preactivation=False), DownBlock3d(second, third))
        self.frame_blocks = nn.Sequential(
            *(
                DownBlock(n_in, n_out, down=i < config.n_halvings)
                for i, (n_in, n_out) in enumerate(pairwise([third, *widths]), start=2)
            )
        )
        self.head = ProjectionHead(widths[-1], config.n_labels)

    def forward(self, video: Tensor, y: Tensor) -> Tensor:
        pooled = avg_pool2d(video.flatten(0, 1), self.phi).unflatten(0, video.shape[:2])
        x = pooled.transpose(1, 2)
        for block in self.clip_blocks:
            x = self.run(block, x)
        x = x.transpose(1, 2).flatten(0, 1)
        for block in self.frame_blocks:
            x = self.run(block, x)
        return self.head(relu(x).unflatten(0, video.shape[:2]).transpose(1, 2), y)


_FACTS = Facts(
    tiny={"resolution": 32, "channels": 2, "dim_z": 8, "dim_embedding": 4, "n_frames_image": 4},
    n_parameters={"generator": 176_903_259, "spatial": 86_589_985, "temporal": 87_756_385},
    published_run={
        "model.resolution": 128,
        "model.channels": 96,
        "loop.batch_size": 512,
        "loop.n_d": 2,
        "loop.n_steps": 300_000,
        "loop.ema_decay": 0.9999,
        "optimiser.name": "adam",
        "optimiser.rate_g": 1e-4,
        "optimiser.rate_d": 5e-4,
        "optimiser.beta1": 0.0,
        "optimiser.beta2": 0.999,
    },
    variants=({"conditional": False},),
    without_batch_norm={"norm": "none"},
)


@dataclass(frozen=True)
class DVDGAN(GAN[DVDGANConfig, Fakes]):
    """The networks of one DVD-GAN and its step."""

    generator: DVDGANGenerator

    config_type = DVDGANConfig
    generator_type = DVDGANGenerator
    facts = _FACTS
    recomputes = True

    @classmethod
    def build(cls, config: DVDGANConfig) -> Self:
        """Build the networks: orthogonal weights, spectral norm on all but G's e(y), as BigGAN."""
        generator = initialise_(DVDGANGenerator(config), "orthogonal")
        normalise_spectrally(generator, without=(generator.embedding,))
        spatial, temporal = SpatialDiscriminator(config), TemporalDiscriminator(config)
        for discriminator in (spatial, temporal):
            normalise_spectrally(initialise_(discriminator, "orthogonal"))
        return cls(config, generator, {"spatial": spatial, "temporal": temporal})

    @classmethod
    def losses_of_guessing(cls, config: DVDGANConfig) -> dict[str, float]:
        return {"spatial": HINGE_OF_GUESSING, "temporal": config.lambda_temporal * HINGE_OF_GUESSING}

    def draw(self, n: int, rng: torch.Generator, label_counts: Tensor, real_labels: Tensor) -> dict[str, Tensor]:
        """All random inputs of one update on n clips, on the CPU; see the contract.

        Returns z (n, dim_z), y (n,) uniform over the classes, 0 without labels (the paper does not say how), and
        frames_real, frames_fake (n, k), the distinct frames of each clip that D_S sees.
        """
        config = self.config
        return {
            "z": draw_normal(n, config.dim_z, rng),
            "y": draw_labels("uniform", n, config.n_labels, rng, label_counts, real_labels),
            "frames_real": draw_frames(n, config.n_frames, config.n_frames_image, rng),
            "frames_fake": draw_frames(n, config.n_frames, config.n_frames_image, rng),
        }

    def generate(self, generator: nn.Module, draws: Draws) -> Fakes:
        """Generate b fakes from the draws."""
        return Fakes(generator(draws["z"], draws["y"]))

    def discriminator_losses(
        self, discriminators: Discriminators, real: Tensor, real_labels: Tensor, fakes: Fakes, draws: Draws
    ) -> Losses:
        """Hinge terms of D_S and D_T, each for itself (MVT-GAN eq. 2)."""
        spatial, temporal, fake = discriminators["spatial"], discriminators["temporal"], fakes.videos.detach()
        labels = self._rows(real_labels)
        spatial_loss = hinge_discriminator_loss(
            spatial(frames_at(real, draws["frames_real"]), labels),
            spatial(frames_at(fake, draws["frames_fake"]), draws["y"]),
        )
        temporal_loss = hinge_discriminator_loss(temporal(real, labels), temporal(fake, draws["y"]))
        return {"spatial": spatial_loss, "temporal": self.config.lambda_temporal * temporal_loss}

    def generator_losses(self, discriminators: Discriminators, fakes: Fakes, draws: Draws) -> Losses:
        """Hinge terms of the generator against D_S and D_T (MVT-GAN eq. 3)."""
        spatial = discriminators["spatial"](frames_at(fakes.videos, draws["frames_fake"]), draws["y"])
        temporal = discriminators["temporal"](fakes.videos, draws["y"])
        return {
            "spatial": hinge_generator_loss(spatial),
            "temporal": self.config.lambda_temporal * hinge_generator_loss(temporal),
        }

    def realness(self, videos: Tensor, labels: Tensor) -> Tensor:
        """The logits of D_S on k evenly spaced frames and of D_T, weighted as in the losses."""
        labels = self._rows(labels)
        spatial = self.discriminators["spatial"](evenly_spaced(videos, self.config.n_frames_image), labels)
        return spatial + self.config.lambda_temporal * self.discriminators["temporal"](videos, labels)

    def _rows(self, labels: Tensor) -> Tensor:
        """Rows of the discriminators' embeddings."""
        return labels if self.config.conditional else torch.zeros_like(labels)

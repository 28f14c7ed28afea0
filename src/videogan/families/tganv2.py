"""TGANv2 (Saito, Saito, Koyama, Kobayashi, arXiv 1811.09245; IJCV 2020): levels of rising size and falling frame rate.

The generator drops every second frame between its levels in training, and each level has a discriminator of its own.
Where paper and released code differ, this follows the code, which made the published figures, but for these:
- D is updated before G, and G then meets fakes of its own, where the code updates G first and makes one batch of them;
- each fake clip has phases of its own, as real clips have, where the code draws one for the batch;
- D leaves axes of length 1 alone, where the code pads them to 3 before it pools;
- batch norms are not synchronised over GPUs;
- sizes below 192 px are ours, and labels enter as the paper says: the code's own path for them cannot run.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Self, overload

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu

from videogan.draws import draw_labels, draw_uniform, frames_at
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
    r1_penalty,
    total,
)
from videogan.nets.chainer_initialisation import glorot_uniform_, lecun_normal_
from videogan.nets.conditional_norm import ConditionalNorm, Normalisation
from videogan.nets.conv_lstm import ConvLSTM
from videogan.nets.projection_head import ProjectionHead
from videogan.nets.resblocks import UpBlock
from videogan.nets.volume_resblocks import DownBlock3d
from videogan.nets.width import scaled

_FIRST_WIDTHS = {
    32: (128,),
    64: (128,),
    96: (256, 128),
    128: (256, 128),
    192: (512, 256, 128),
    256: (512, 256, 128),
}
"""Channels after each block before level 1 is rendered; 192 px is UCF-101's, 256 px FaceForensics'."""
_LEVEL_WIDTHS = (64, 32, 32)
"""Channels of the levels behind the first."""
_DISCRIMINATOR_WIDTHS = (64, 128, 256, 512, 1024)
_BATCH_NORM_EPS = 2e-5  # Chainer's default


class TGANv2Config(FamilyConfig):
    """The settings of one TGANv2; the defaults are those of the released code's UCF-101 model at 192 px."""

    family: Literal["tganv2"] = "tganv2"
    resolution: Literal[32, 64, 96, 128, 192, 256] = Field(192, description="Side of a frame (paper: 192, 256)")
    n_classes: int = Field(ge=1, description="Classes of the data set; a generator without labels ignores them")
    conditional: bool = Field(False, description="Labels: beside z, in batch norms and in the discriminators' heads")
    n_colours: Colours = 3
    n_frames: int = Field(16, ge=2, description="T, clip length in training (paper: 16)")
    width: float = Field(1.0, gt=0, description="Scale of all channels, at least one each; z stays")
    dim_z: int = Field(256, ge=1, description="Size of z (released code: 256)")
    lstm_multiple: Literal[1, 2, 4] = Field(
        2, description="Channels of the ConvLSTM, in multiples of the first block's"
    )
    n_lstm_layers: int = Field(1, ge=1, description="ConvLSTMs on top of each other (released code: 1)")
    lambda_gp: float = Field(16.0, gt=0, description="Weight of the gradient penalty on real clips, a mean over them")
    norm: Normalisation = Field("batch", description="none: gain and bias alone, for exact data parallelism")

    @model_validator(mode="after")
    def _levels_halve_the_frames(self) -> Self:
        if self.n_frames % (1 << (self.n_levels - 1)):
            raise ValueError(
                f"n_frames must be a multiple of {1 << (self.n_levels - 1)}, which the {self.n_levels} levels at "
                f"{self.resolution} px halve {self.n_levels - 1} times, got {self.n_frames}."
            )
        return self

    @property
    def is_conditional(self) -> bool:
        return self.conditional

    @property
    def n_levels(self) -> int:
        """Levels, each twice the side of the one before; the first is at least 8 px."""
        return 3 if self.resolution == 32 else 1 + len(_LEVEL_WIDTHS)

    @property
    def level_widths(self) -> list[list[int]]:
        """Channels of the ConvLSTM and after each block of level 1; of each other level those before and after it."""
        first = [scaled(channels, self.width) for channels in _FIRST_WIDTHS[self.resolution]]
        others = [scaled(channels, self.width) for channels in _LEVEL_WIDTHS[: self.n_levels - 1]]
        return [[self.lstm_multiple * first[0], *first], *map(list, pairwise([first[-1], *others]))]

    @property
    def first_map(self) -> tuple[int, int, int]:
        """Channels and sides of the ConvLSTM's maps: 3 or 4 px, doubled by each block."""
        side = self.resolution >> sum(len(widths) - 1 for widths in self.level_widths)
        return self.level_widths[0][0], side, side

    @property
    def dim_condition(self) -> int:
        """Size of what sets the gains and biases of batch norms: a one-hot label, or the constant 1."""
        return self.n_classes if self.conditional else 1


class Level(nn.Module):
    """Residual blocks that double the side, then batch norm, ReLU, a convolution and tanh, which render frames.

    forward: maps (B T, n_in, H, W), condition (B T, d) -> maps (B T, n_out, H', W'); render -> frames (B T, 3, H', W').
    """

    def __init__(self, widths: list[int], config: TGANv2Config) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(UpBlock(i, o, config.dim_condition, config.norm) for i, o in pairwise(widths))
        self.norm = ConditionalNorm(widths[-1], config.dim_condition, config.norm)
        self.output = nn.Conv2d(widths[-1], config.n_colours, 3, padding=1)

    def forward(self, maps: Tensor, condition: Tensor) -> Tensor:
        for block in self.blocks:
            maps = block(maps, maps, condition)
        return maps

    def render(self, maps: Tensor, condition: Tensor) -> Tensor:
        frames: Tensor = self.output(relu(self.norm(maps, condition))).tanh()
        return frames


class TGANv2Generator(Generator):
    """G: z -> linear -> ConvLSTM, whose input is zero after the first step -> levels frame by frame (released code).

    In training each level but the first sees every second frame of the one before, and is rendered.
    """

    config: TGANv2Config

    def __init__(self, config: TGANv2Config) -> None:
        super().__init__()
        self.config = config
        n_labels = config.n_classes if config.conditional else 0
        self.linear = nn.Linear(config.dim_z + n_labels, math.prod(config.first_map))
        self.lstms = nn.ModuleList(ConvLSTM(config.first_map[0]) for _ in range(config.n_lstm_layers))
        self.levels = nn.ModuleList(Level(widths, config) for widths in config.level_widths)

    def sample_z(
        self,
        n: int,
        generator: torch.Generator | None = None,
        n_frames: int | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """z ~ U(-1, 1), (n, dim_z), for clips of any length, on the networks' device. Refuses truncation."""
        return draw_uniform(n, self.config.dim_z, generator, truncation).to(self.device)

    @overload
    def forward(self, z: Tensor, y: Tensor | None = ..., n_frames: int | None = ...) -> Tensor: ...
    @overload
    def forward(
        self, z: Tensor, y: Tensor | None = ..., n_frames: int | None = ..., *, phases: Tensor
    ) -> list[Tensor]: ...

    def forward(
        self, z: Tensor, y: Tensor | None = None, n_frames: int | None = None, *, phases: Tensor | None = None
    ) -> Tensor | list[Tensor]:
        """Videos (B, n_frames, 3, R, R) in [-1, 1]; n_frames is any number, default T.

        z: (B, dim_z) codes; y: (B,) integer labels, or (B, K) mixtures of classes, which only a conditional TGANv2
        reads. phases: (B, n_levels - 1), 0 or 1, the first frame that each level keeps of those of the level before.
        With phases the result has the frames of all levels, (B, T, 3, r, r) to (B, T / 2^(n_levels - 1), 3, R, R).
        """
        labels = self._label_vectors(y).to(z.dtype) if self.config.conditional else None
        codes = z if labels is None else torch.cat([z, labels], dim=1)
        condition = z.new_ones(len(z), 1) if labels is None else labels
        maps = self.linear(codes).unflatten(1, self.config.first_map)[:, None]
        for lstm in self.lstms:
            maps = lstm(maps, self.config.n_frames if n_frames is None else n_frames)
        rendered: list[Tensor] = []
        for i, level in enumerate(self.levels):
            assert isinstance(level, Level)
            if phases is not None and i > 0:
                maps = every_second(maps, phases[:, i - 1])
            n_and_frames, conditions = maps.shape[:2], condition.repeat_interleave(maps.shape[1], dim=0)
            flat = level(maps.flatten(0, 1), conditions)
            maps = flat.unflatten(0, n_and_frames)
            if phases is not None or level is self.levels[-1]:
                rendered.append(level.render(flat, conditions).unflatten(0, n_and_frames))
        return rendered[-1] if phases is None else rendered

    def _label_vectors(self, y: Tensor | None) -> Tensor:
        if y is None:
            raise ValueError("a conditional TGANv2 needs labels y, got none.")
        return y if y.is_floating_point() else self.class_vectors(y)


def every_second(maps: Tensor, phase: Tensor) -> Tensor:
    """Frames p, p + 2, p + 4, ... of maps (B, T, ...), half of them, with phases p (B,) of 0 or 1."""
    return frames_at(maps, phase[:, None] + torch.arange(0, maps.shape[1] - 1, 2, device=maps.device))


class LevelDiscriminator(nn.Module):
    """One level's D: a residual network of five blocks over clips, without norms; features summed before the head.

    The first block halves the sides, the others the frames too, where there is more than one.
    forward: video (B, T, 3, r, r) in [-1, 1], y (B,) integer labels if conditional -> (B,) logits.
    """

    def __init__(self, config: TGANv2Config) -> None:
        super().__init__()
        widths = [scaled(channels, config.width) for channels in _DISCRIMINATOR_WIDTHS]
        self.blocks = nn.Sequential(
            DownBlock3d(config.n_colours, widths[0], preactivation=False),
            *(DownBlock3d(n_in, n_out, n_hidden=n_in, halves_time=True) for n_in, n_out in pairwise(widths)),
        )
        self.head = ProjectionHead(widths[-1], config.n_classes if config.conditional else 0)

    def forward(self, video: Tensor, y: Tensor | None = None) -> Tensor:
        logits: Tensor = self.head(relu(self.blocks(video.transpose(1, 2))), y)
        return logits


def levels_of(videos: Tensor, phases: Tensor) -> list[Tensor]:
    """What each level shows of videos (B, T, 3, R, R): every second frame of the level before, at twice its side.

    phases: (B, n_levels - 1), as in the generator. Frames are averaged down to a level's side. No gradient.
    """
    videos, n_smaller = videos.detach(), phases.shape[1]
    levels = []
    for i in range(n_smaller + 1):
        if i > 0:
            videos = every_second(videos, phases[:, i - 1])
        levels.append(avg_pool2d(videos.flatten(0, 1), 1 << (n_smaller - i)).unflatten(0, videos.shape[:2]))
    return levels


@dataclass(frozen=True)
class LevelFakes(Fakes):
    """The frames of all levels, smallest first; `videos` is the last: every (2^(n_levels - 1))-th frame."""

    levels: list[Tensor]


_FACTS = Facts(
    tiny={"resolution": 32, "width": 1 / 32, "dim_z": 8},
    n_parameters={"generator": 88_032_460, **{f"level_{level}": 29_019_265 for level in (1, 2, 3, 4)}},
    published_run={
        "model.resolution": 192,
        "model.width": 1,
        "loop.batch_size": 32,
        "loop.n_d": 1,
        "loop.ema_decay": None,
        "optimiser.name": "adam",
        "optimiser.rate_g": 1e-4,
        "optimiser.rate_d": 1e-4,
        "optimiser.beta1": 0.0,
        "optimiser.beta2": 0.9,
        "optimiser.eps": 8e-8,
        "optimiser.decay": "linear",
    },
    variants=({"conditional": True},),
    without_batch_norm={"norm": "none"},
    other_values={"n_frames": (8, {})},
)


@dataclass(frozen=True)
class TGANv2(GAN[TGANv2Config, LevelFakes]):
    """The networks of one TGANv2 and its step."""

    generator: TGANv2Generator

    config_type = TGANv2Config
    generator_type = TGANv2Generator
    facts = _FACTS
    differentiates_twice = True

    @classmethod
    def build(cls, config: TGANv2Config) -> Self:
        """Build the networks: Glorot's weights in residual blocks and heads, LeCun's elsewhere, all gains 1."""
        generator = _initialise_generator_(TGANv2Generator(config))
        judges = [LevelDiscriminator(config) for _ in range(config.n_levels)]
        for judge in judges:
            _glorot_(judge)
            glorot_uniform_(judge.head)
            if judge.head.embedding is not None:
                nn.init.xavier_uniform_(judge.head.embedding.weight)
        return cls(config, generator, {f"level_{number}": judge for number, judge in enumerate(judges, start=1)})

    @classmethod
    def losses_of_guessing(cls, config: TGANv2Config) -> dict[str, float]:
        return {f"level_{i + 1}": CROSS_ENTROPY_OF_GUESSING / config.n_levels for i in range(config.n_levels)}

    def draw(self, n: int, rng: torch.Generator, label_counts: Tensor, real_labels: Tensor) -> dict[str, Tensor]:
        """All random inputs of one update on n clips, on the CPU; see the contract.

        Returns z (n, dim_z); phases_real, phases_fake (n, n_levels - 1), 0 or 1, the first frame that each level keeps;
        and if conditional y (n,), by the training clips' counts.
        """
        draws = {"z": draw_uniform(n, self.config.dim_z, rng)}
        for name in ("phases_real", "phases_fake"):
            draws[name] = torch.randint(2, (n, self.config.n_levels - 1), generator=rng)
        if self.config.conditional:
            draws["y"] = draw_labels("empirical", n, self.config.n_classes, rng, label_counts, real_labels)
        return draws

    def generate(self, generator: nn.Module, draws: Draws) -> LevelFakes:
        """Generate the levels of b fakes from the draws."""
        levels = generator(draws["z"], draws.get("y"), phases=draws["phases_fake"])
        return LevelFakes(levels[-1], levels)

    def discriminator_losses(
        self, discriminators: Discriminators, real: Tensor, real_labels: Tensor, fakes: LevelFakes, draws: Draws
    ) -> Losses:
        """Each level's cross entropy over the number of levels; lambda_gp times the sum of their gradient penalties.

        The released code sums penalties over a GPU's clips; lambda_gp = 16 has the same strength at its 32 clips.
        """
        terms, penalties = {}, []
        shown = zip(discriminators.items(), levels_of(real, draws["phases_real"]), fakes.levels, strict=True)
        for (name, judge), real_level, fake_level in shown:
            real_logits, penalty = r1_penalty(judge, real_level, real_labels)
            loss = non_saturating_discriminator_loss(real_logits, judge(fake_level.detach(), draws.get("y")))
            terms[name] = loss / self.config.n_levels
            penalties.append(penalty)
        return {**terms, "penalty": self.config.lambda_gp * total(penalties)}

    def generator_losses(self, discriminators: Discriminators, fakes: LevelFakes, draws: Draws) -> Losses:
        """Each level's non-saturating loss over the number of levels."""
        return {
            name: non_saturating_generator_loss(judge(level, draws.get("y"))) / self.config.n_levels
            for (name, judge), level in zip(discriminators.items(), fakes.levels, strict=True)
        }

    def realness(self, videos: Tensor, labels: Tensor) -> Tensor:
        """The mean of the levels' logits, where each level keeps the first of two frames."""
        phases = torch.zeros(len(videos), self.config.n_levels - 1, dtype=torch.int64, device=videos.device)
        levels = levels_of(videos, phases)
        logits = [judge(level, labels) for judge, level in zip(self.discriminators.values(), levels, strict=True)]
        return torch.stack(logits).mean(0)


def _initialise_generator_(generator: TGANv2Generator) -> TGANv2Generator:
    lecun_normal_(generator)
    _glorot_(generator)
    for layer in generator.modules():
        if isinstance(layer, ConditionalNorm):  # a gain of 1 and a bias of 0 for each class
            nn.init.zeros_(layer.gain.weight)
            nn.init.zeros_(layer.bias.weight)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.eps = _BATCH_NORM_EPS
    return generator


def _glorot_(network: nn.Module) -> None:
    """Residual blocks: Glorot's uniform weights with gain sqrt(2), in shortcuts with gain 1."""
    for block in network.modules():
        if isinstance(block, UpBlock | DownBlock3d):
            for convolution in (block.conv1, block.conv2):
                glorot_uniform_(convolution, math.sqrt(2))
            glorot_uniform_(block.shortcut)

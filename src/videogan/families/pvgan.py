"""Progressive VGAN (Acharya, Huang, Paudel, Van Gool, arXiv 1810.02419): grows in space and time, with a sliced
Wasserstein loss.

The networks and settings are those of its authors' code (released), but for these:
- an enlarging convolution's fan-in counts all taps of its kernel, k^3, where the code counts k^2;
- the groups of the minibatch deviation are consecutive clips, where the code's are a quarter of the batch apart;
- while a level fades in, real clips are averaged over time only where it doubles the frames; the code always does;
- G's output ends in tanh, batches have one size, and Adam keeps its moments from phase to phase;
- T is 16 above 64 px too, so that the third doubling of time, behind 64 px, is left out.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from videogan.config import ConfigurationError
from videogan.constraints import retract_to_orthogonal_
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
from videogan.losses import wasserstein_discriminator_loss, wasserstein_generator_loss
from videogan.nets.precision import full_precision
from videogan.nets.progressive import (
    EqualisedConv3d,
    EqualisedLinear,
    Growing,
    Size,
    faded,
    grown_after,
    pixel_norm,
    real_as_grown,
    resized,
    with_deviation,
)
from videogan.nets.width import scaled
from videogan.penalties import gradient_norms

_FIRST_FRAMES = 4
_DOUBLES_TIME = (1, 3)
"""Levels, counted from 0, that have twice the frames of the level before."""
_SLOPE_TARGET = 0.01
_IDLE = {"swgan": ("lambda_gp", "lambda_drift"), "wgan_gp": ("lambda_gradient", "lambda_feature")}
"""Settings without effect, by loss."""


class PVGANConfig(FamilyConfig):
    """The settings of one Progressive VGAN; the defaults are the released ones at 64 px."""

    family: Literal["pvgan"] = "pvgan"
    resolution: Literal[32, 64, 96, 128, 256] = Field(64, description="Side of a frame (released: 128, 256)")
    n_classes: int = Field(ge=1, description="K of the data set; the networks see no class")
    n_colours: Colours = 3
    width: float = Field(1.0, gt=0, description="Scale of all channels, of z and of D's features")
    n_frames: Literal[16] = Field(16, description="T, clip length (released: 16 up to 64 px, 32 above)")
    clips_a_phase: int = Field(
        600_000, ge=1, description="Clips D sees while a level trains alone, and while the next fades in"
    )
    loss: Literal["swgan", "wgan_gp"] = Field("swgan", description="Sliced Wasserstein, or Wasserstein with penalty")
    lambda_gradient: float = Field(50.0, ge=0, description="Weight of swgan's gradient penalty (released: 50)")
    lambda_feature: float = Field(10.0, ge=0, description="Weight of swgan's penalty on slopes (released: 10)")
    lambda_gp: float = Field(10.0, ge=0, description="Weight of wgan_gp's gradient penalty (released: 10)")
    lambda_drift: float = Field(0.001, ge=0, description="Weight of wgan_gp's squared real scores (released: 0.001)")
    group: int = Field(4, ge=1, description="Clips of a minibatch standard deviation; 1: none (released: 4)")

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> Self:
        other = "wgan_gp" if self.loss == "swgan" else "swgan"
        problems = [
            f"{name} = {getattr(self, name):g} has no effect under loss = {self.loss}. "
            f"Remove it or set model.loss={other}."
            for name in _IDLE[self.loss]
            if getattr(self, name) != type(self).model_fields[name].default
        ]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def widths(self) -> list[int]:
        """Channels of each level: 128, 128, 128, then halved at each."""
        return [scaled(min(512 >> level, 128), self.width) for level in range(len(self.sizes))]

    @property
    def dim(self) -> int:
        """Size of z, and of D's features."""
        return self.widths[0]

    @property
    def sizes(self) -> list[Size]:
        """Frames, rows and columns of each level: 4 frames of 4 px (3 px where R is 96), and twice the side each."""
        first = 3 if self.resolution % 3 == 0 else 4
        n_levels = int(math.log2(self.resolution // first)) + 1
        doublings = [sum(level >= at for at in _DOUBLES_TIME) for level in range(n_levels)]
        return [(_FIRST_FRAMES << n, first << level, first << level) for level, n in enumerate(doublings)]


def _active(x: Tensor) -> Tensor:
    return leaky_relu(x, 0.2)


class FirstBlock(nn.Module):
    """z (B, dim) -> the map of the first level (B, dim, 4, s, s)."""

    def __init__(self, config: PVGANConfig) -> None:
        super().__init__()
        self.shape = (config.dim, *config.sizes[0])
        # The released gain, a quarter of that of the other layers.
        self.linear = EqualisedLinear(config.dim, math.prod(self.shape), math.sqrt(2) / 4, bias=False)
        self.bias = nn.Parameter(torch.zeros(config.dim))
        self.convolution = EqualisedConv3d(config.dim, config.dim, 3)

    def forward(self, z: Tensor) -> Tensor:
        x = self.linear(pixel_norm(z)).unflatten(1, self.shape) + self.bias[:, None, None, None]
        return pixel_norm(_active(self.convolution(pixel_norm(_active(x)))))


class EnlargingBlock(nn.Module):
    """The map of a level -> that of the next, of `size`."""

    def __init__(self, n_in: int, n_out: int, size: Size) -> None:
        super().__init__()
        self.size = size
        self.first = EqualisedConv3d(n_in, n_out, 3)
        self.second = EqualisedConv3d(n_out, n_out, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = pixel_norm(_active(self.first(resized(x, self.size))))
        return pixel_norm(_active(self.second(x)))


class PVGANGenerator(Generator, Growing):
    """G: a block for each level, and a 1x1x1 convolution with tanh from its map to colours (released code).

    Clips have their full size at every phase: those of smaller levels are repeated. While level k + 1 fades in by t, a
    clip is (1 - t) * level k's + t * level k + 1's. The released colours have no tanh; here clips lie in [-1, 1].
    """

    config: PVGANConfig

    def __init__(self, config: PVGANConfig) -> None:
        super().__init__(len(config.sizes))
        self.config = config
        widths, sizes = config.widths, config.sizes
        pairs = zip(pairwise(widths), sizes[1:], strict=True)
        self.blocks = nn.ModuleList(
            [FirstBlock(config), *(EnlargingBlock(n_in, n_out, size) for (n_in, n_out), size in pairs)]
        )
        self.colours = nn.ModuleList(EqualisedConv3d(width, config.n_colours, 1, gain=1.0) for width in widths)

    def sample_z(
        self,
        n: int,
        generator: torch.Generator | None = None,
        n_frames: int | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """z ~ N(0, 1), (n, dim), on the networks' device; see `draw_normal`. Refuses lengths other than T."""
        self._refuse_other_lengths(n_frames)
        return draw_normal(n, self.config.dim, generator, truncation).to(self.device)

    def forward(self, z: Tensor, y: Tensor | None = None, n_frames: int | None = None) -> Tensor:
        """Videos (B, T, 3, R, R) in [-1, 1] of codes z (B, dim), which count by direction only; y has no effect."""
        self._refuse_other_lengths(n_frames)
        sizes, (n_whole, t) = self.config.sizes, self.levels()
        x = z
        for block in self.blocks[:n_whole]:
            x = block(x)
        clips = self.colours[n_whole - 1](x).tanh()
        if t > 0:
            new = self.colours[n_whole](self.blocks[n_whole](x)).tanh()
            clips = faded(resized(clips, sizes[n_whole]), new, t)
        return resized(clips, sizes[-1]).transpose(1, 2)

    def _refuse_other_lengths(self, n_frames: int | None) -> None:
        if n_frames not in (None, self.config.n_frames):
            raise ConfigurationError(
                f"n_frames must be the {self.config.n_frames} that this Progressive VGAN was built for, got "
                f"{n_frames}; its clips can't be longer or shorter."
            )


class ShrinkingBlock(nn.Module):
    """The map of a level -> that of the one before, of `size`; averages before the second activation, as released."""

    def __init__(self, n_in: int, n_out: int, size: Size) -> None:
        super().__init__()
        self.size = size
        self.first = EqualisedConv3d(n_in, n_in, 3)
        self.second = EqualisedConv3d(n_in, n_out, 3)

    def forward(self, x: Tensor) -> Tensor:
        return _active(resized(self.second(_active(self.first(x))), self.size))


class LastBlock(nn.Module):
    """The map of the first level -> features (B, dim) in fp32, with the deviation within groups of clips.

    In eval mode each clip is a group of its own, so that its features depend on no other.
    """

    def __init__(self, config: PVGANConfig) -> None:
        super().__init__()
        self.group = config.group
        self.convolution = EqualisedConv3d(config.dim + 1, config.dim, 3)
        self.linear = EqualisedLinear(config.dim * math.prod(config.sizes[0]), config.dim)

    def forward(self, x: Tensor) -> Tensor:
        x = with_deviation(x, self.group if self.training else 1)
        return _active(full_precision(self.linear, _active(self.convolution(x)).flatten(1)))


class PVGANDiscriminator(Growing):
    """D: the generator's mirror image; from the largest working level down to features (released code).

    forward: videos (B, T, 3, R, R) in [-1, 1], averaged down to the working levels -> features (B, dim) in fp32.
    """

    def __init__(self, config: PVGANConfig) -> None:
        super().__init__(len(config.sizes))
        widths, self.sizes = config.widths, config.sizes
        pairs = zip(pairwise(widths), self.sizes[:-1], strict=True)
        self.blocks = nn.ModuleList(
            [LastBlock(config), *(ShrinkingBlock(n_in, n_out, size) for (n_out, n_in), size in pairs)]
        )
        self.from_colours = nn.ModuleList(EqualisedConv3d(config.n_colours, width, 1) for width in widths)

    def forward(self, videos: Tensor) -> Tensor:
        n_whole, t = self.levels()
        x = self._map_of(videos, n_whole - 1)
        if t > 0:
            x = faded(x, self.blocks[n_whole](self._map_of(videos, n_whole)), t)
        for block in reversed(self.blocks[:n_whole]):
            x = block(x)
        return x

    def _map_of(self, videos: Tensor, level: int) -> Tensor:
        return _active(self.from_colours[level](resized(videos.transpose(1, 2), self.sizes[level])))


class SlicedHead(nn.Module):
    """Features f (B, K) -> LeakyReLU(scale_k (f W)_k + offset_k), (B, K): how fake f is along each of K directions.

    W is orthogonal, and `constrain_update_` keeps it so; the linear layer holds its transpose. The mean over k is
    convex in f, so its sign is not free: it is high on fakes.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.directions = nn.Linear(n_features, n_features, bias=False)
        nn.init.orthogonal_(self.directions.weight)
        self.scale = nn.Parameter(torch.ones(n_features))
        self.offset = nn.Parameter(torch.zeros(n_features))

    def forward(self, features: Tensor) -> Tensor:
        return _active(self.scale * self.directions(features) + self.offset)


_FACTS = Facts(
    tiny={"resolution": 32, "width": 1 / 32, "clips_a_phase": 6},
    n_parameters={"generator": 3_677_551, "video": 3_681_568, "head": 16_640},
    published_run={
        "model.resolution": 64,
        "model.width": 1,
        "model.clips_a_phase": 600_000,
        "loop.batch_size": 16,
        "loop.n_d": 1,
        "loop.ema_decay": 0.999,
        "optimiser.name": "adam",
        "optimiser.rate_g": 1e-3,
        "optimiser.rate_d": 1e-3,
        "optimiser.beta1": 0.0,
        "optimiser.beta2": 0.99,
        "optimiser.eps": 1e-8,
    },
    variants=({"loss": "wgan_gp"},),
    without_batch_norm={"group": 1},
    other_values={
        "group": (1, {}),
        "lambda_gp": (20.0, {"loss": "wgan_gp"}),
        "lambda_drift": (0.1, {"loss": "wgan_gp"}),
    },
    tried_elsewhere=frozenset({"clips_a_phase"}),
    clips_seen=(8, 32),  # the second of 4 levels is a third in, then the fourth
)


@dataclass(frozen=True)
class PVGAN(GAN[PVGANConfig, Fakes]):
    """The networks of one Progressive VGAN and its step. The batch is constant, and moments are never reset."""

    generator: PVGANGenerator

    config_type = PVGANConfig
    generator_type = PVGANGenerator
    facts = _FACTS
    differentiates_twice = True
    has_idle = True

    @classmethod
    def build(cls, config: PVGANConfig) -> Self:
        """Build the networks, fully grown; weights are N(0, 1) and W is orthogonal."""
        generator, video = PVGANGenerator(config), PVGANDiscriminator(config)
        head = SlicedHead(config.dim) if config.loss == "swgan" else EqualisedLinear(config.dim, 1, gain=1.0)
        return cls(config, generator, {"video": video, "head": head})

    def begin_step_(self, n_clips_seen: int) -> None:
        """Grow both players to what they are after `n_clips_seen`."""
        grown = grown_after(n_clips_seen, self.config.clips_a_phase, len(self.config.sizes))
        for network in (self.generator, self.discriminators["video"]):
            assert isinstance(network, Growing)
            network.grow_to_(grown)

    def draw(self, n: int, rng: torch.Generator, label_counts: Tensor, real_labels: Tensor) -> dict[str, Tensor]:
        """All random inputs of one update on n clips, on the CPU; see the contract.

        Returns z (n, dim), mix (n,) in [0, 1], where between its real clip and its fake a gradient is taken, and for
        swgan mix_features (n,), likewise between their features.
        """
        draws = {"z": draw_normal(n, self.config.dim, rng), "mix": torch.rand(n, generator=rng)}
        if self.config.loss == "swgan":
            draws["mix_features"] = torch.rand(n, generator=rng)
        return draws

    def generate(self, generator: nn.Module, draws: Draws) -> Fakes:
        """Generate b fakes from the draws."""
        return Fakes(generator(draws["z"]))

    def discriminator_losses(
        self, discriminators: Discriminators, real: Tensor, real_labels: Tensor, fakes: Fakes, draws: Draws
    ) -> Losses:
        """The Wasserstein loss of the scores, and penalties; labels are not used. While a level fades in, so do clips.

        swgan: lambda_gradient E[(1 - u)^2 |grad|^2] and `_slopes`. wgan_gp: lambda_gp E[(|grad| - 1)^2] and
        lambda_drift E[D(x)^2].
        """
        config, video, scores = self.config, discriminators["video"], self._scores_of(discriminators)
        real = real_as_grown(real, config.sizes, self.generator.levels())
        fake = fakes.videos.detach()
        on_real, on_fake = video(real), video(fake)
        real_scores = scores(on_real)
        losses = {"video": wasserstein_discriminator_loss(real_scores, scores(on_fake))}
        norms = gradient_norms(lambda x: scores(video(x)), real, fake, draws["mix"])
        if config.loss == "wgan_gp":
            losses["penalty"] = config.lambda_gp * ((norms - 1) ** 2).mean()
            losses["drift"] = config.lambda_drift * (real_scores**2).mean()
            return losses
        losses["penalty"] = config.lambda_gradient * (((1 - draws["mix"]) * norms) ** 2).mean()
        mixed = torch.lerp(on_real, on_fake, draws["mix_features"].to(on_real)[:, None])
        losses["slopes"] = config.lambda_feature * self._slopes(full_precision(discriminators["head"], mixed))
        return losses

    def _slopes(self, outputs: Tensor) -> Tensor:
        """The penalty mean((scale_k q_k - 0.01)^2) on a head's outputs p (b, K), q = p above 0 and .2 |p| below.

        By its comment the released code means the slope by each direction, scale_k times 1 or .2 in place of q; the
        published scores come from what it does.
        """
        # The head's own scale, also under data parallelism: its gradient joins that of the wrapped forward pass.
        scale = self.discriminators["head"].scale
        assert isinstance(scale, Tensor)
        return ((scale * leaky_relu(outputs, -0.2) - _SLOPE_TARGET) ** 2).mean()

    def generator_losses(self, discriminators: Discriminators, fakes: Fakes, draws: Draws) -> Losses:
        """Minus the scores of the fakes."""
        scores = self._scores_of(discriminators)(discriminators["video"](fakes.videos))
        return {"video": wasserstein_generator_loss(scores)}

    def realness(self, videos: Tensor, labels: Tensor) -> Tensor:
        """The scores of D; labels are not used."""
        return self._scores_of(self.discriminators)(self.discriminators["video"](videos))

    def constrain_update_(self) -> None:
        """After each update of D: W becomes orthogonal again. The released code also projects W's gradient."""
        head = self.discriminators["head"]
        if isinstance(head, SlicedHead):
            retract_to_orthogonal_(head.directions.weight.T)

    def _scores_of(self, discriminators: Discriminators) -> Callable[[Tensor], Tensor]:
        """Features (b, dim) -> scores (b,) in fp32, higher is more real: minus the mean of a sliced head's outputs."""
        sign = -1 if self.config.loss == "swgan" else 1
        return lambda features: sign * full_precision(discriminators["head"], features).mean(1)

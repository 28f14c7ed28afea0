"""The interface of video GANs: configuration, generator and step. A family is a subclass of `GAN`.

Abstract members are required. All others do nothing, or refuse, until a family overrides them.
Videos are (B, T, 3, R, R) in [-1, 1]: B clips of T frames of R x R pixels, and (B, T, 1, R, R) where `n_colours` is
1. n is the number of clips in the global batch, b that in this process.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, Self, TypeAlias, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import one_hot

from videogan.config import Config, ConfigurationError

Draws: TypeAlias = Mapping[str, Tensor]  # all random inputs of one update; the first dimension of each is n or b
Losses: TypeAlias = dict[str, Tensor]  # scalar terms by name, to be summed and minimised
Discriminators: TypeAlias = Mapping[str, nn.Module]
Settings: TypeAlias = Mapping[str, Any]  # settings of a configuration by name, as YAML holds them
Colours = Annotated[Literal[1, 3], Field(description="Colours of a pixel: 3, or 1 for grey clips")]
"""The type of a family's setting `n_colours`."""


class FamilyConfig(Config):
    """The settings of one GAN. A family declares these four fields and its own, with the paper's values as defaults.

    One of its own may be `n_colours: Colours = 3`, which follows the imported data: 1 makes networks of grey clips.
    """

    if TYPE_CHECKING:  # not real fields, which would precede the family's own in every file
        family: str  # Literal["name"] = "name"
        resolution: int  # R, the side of a frame in pixels
        n_classes: int  # K, classes of the data set; no default
        n_frames: int  # T, frames of a clip

    @property
    def colours(self) -> int:
        """Colours of a pixel in the networks' videos: the setting `n_colours`, or 3 for a family that has none."""
        found: int = getattr(self, "n_colours", 3)
        return found

    @property
    def is_conditional(self) -> bool:
        """Whether the generator makes clips of a requested class; without classes there is no S3."""
        return False

    @property
    def compares_clips(self) -> bool:
        """Whether `motion_loss` pairs clips of the whole batch, so that the batch cannot be trained on in parts."""
        return False


class Generator(nn.Module, ABC):
    """z -> video. Only `sample_z` draws random numbers: in eval mode equal z and y make equal videos."""

    config: FamilyConfig

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @abstractmethod
    def sample_z(
        self,
        n: int,
        generator: torch.Generator | None = None,
        n_frames: int | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """n codes z, (n, d), for videos of `n_frames` (default T), drawn on the CPU and moved to the weights' device.

        truncation: largest distance from the mean in standard deviations. Raises ConfigurationError for a length or a
        truncation that the family does not offer.
        """

    @abstractmethod
    def forward(self, z: Tensor, y: Tensor, n_frames: int | None = None) -> Tensor:
        """Videos (B, n_frames, 3, R, R) of codes (B, d) and labels (B,) or class vectors (B, e); default length T."""

    def class_vectors(self, y: Tensor) -> Tensor:
        """Vectors (n, e) of labels (n,), which `forward` takes in place of labels, also mixed: one-hot by default."""
        return one_hot(y, self.config.n_classes).float()

    @property
    def code_network(self) -> nn.Module | None:
        """The network from codes z (B, d) and n_frames to codes of frames (B, n_frames, e), if it has batch norms.

        Before sampling its statistics are estimated on more codes than whole clips would allow: at each of its steps a
        batch has one value per clip, while a batch norm over pictures has one per pixel. None: there is no such part.
        """
        return None

    @property
    def subspaces(self) -> dict[str, slice]:
        """Named parts of a code, z[:, part], which together are all of it; empty if a code has no parts."""
        return {}

    makes_frames_between: ClassVar[bool] = False

    def with_frames_between(self, z: Tensor, y: Tensor | None, n_between: int) -> Tensor:
        """Videos (B, (T - 1) (n_between + 1) + 1, 3, R, R) with new frames between any two (TGAN sec. 5.1)."""
        raise ConfigurationError(f"{self.config.family} makes no frames between frames.")


@dataclass(frozen=True)
class Fakes:
    """The result of `generate`; a subclass adds what else the family's losses need, such as masks."""

    videos: Tensor  # (b, T, 3, R, R), or fewer frames if the discriminators see no more


@dataclass(frozen=True)
class Facts:
    """A family's data for the contract tests: settings to try, and the paper's published numbers."""

    tiny: Settings  # the smallest networks: a step in a fraction of a second
    n_parameters: Mapping[str, int]  # of the published networks on 101 classes: "generator", and each discriminator
    published: Settings = field(default_factory=dict)  # settings of the published networks, if not the defaults
    published_run: Settings = field(default_factory=dict)  # settings of a run by path that the paper's budget keeps
    variants: tuple[Settings, ...] = ()  # settings to try besides the defaults: with and without classes, each loss
    without_batch_norm: Settings = field(default_factory=dict)  # settings under which no network has batch norm
    other_values: Mapping[str, tuple[Any, Settings]] = field(default_factory=dict)
    """For a setting that no other value changes alone: a value, and the settings under which it changes the GAN."""
    tried_elsewhere: frozenset[str] = frozenset()  # settings that need a file or many steps: its own tests try them
    clips_seen: tuple[int, ...] = (0,)  # after so many clips, taken together, every parameter of `tiny` is trained


ConfigT = TypeVar("ConfigT", bound=FamilyConfig)
FakesT = TypeVar("FakesT", bound=Fakes)


@dataclass(frozen=True)
class GAN(ABC, Generic[ConfigT, FakesT]):
    """The networks of one GAN and its step. The loop owns optimisers, devices, precision and data parallelism."""

    config: ConfigT
    generator: Generator
    discriminators: dict[str, nn.Module]

    config_type: ClassVar[type[FamilyConfig]]
    generator_type: ClassVar[type[Generator]]
    facts: ClassVar[Facts]
    recomputes: ClassVar[bool] = False  # whether some networks are `videogan.nets.recomputation.Recomputing`
    differentiates_twice: ClassVar[bool] = False  # whether a loss holds a gradient, as a gradient penalty does
    has_idle: ClassVar[bool] = False  # whether steps leave some parameters out, as those of levels still to come

    @classmethod
    @abstractmethod
    def build(cls, config: ConfigT) -> Self:
        """The networks of `config` on torch's default device, initialised from torch's global random generator."""

    @abstractmethod
    def draw(self, n: int, rng: torch.Generator, label_counts: Tensor, real_labels: Tensor) -> dict[str, Tensor]:
        """All random inputs of one update on n clips, on the CPU: z, labels of fakes, noise seeds. Each is (n, ...).

        label_counts: (K,), training clips of each class; real_labels: (n,), of the real clips of this update.
        """

    @abstractmethod
    def generate(self, generator: nn.Module, draws: Draws) -> FakesT:
        """Generate b fakes from the draws; `generator` is `self.generator`, or a data-parallel wrapper of it."""

    @abstractmethod
    def discriminator_losses(
        self, discriminators: Discriminators, real: Tensor, real_labels: Tensor, fakes: FakesT, draws: Draws
    ) -> Losses:
        """The discriminators' losses, without gradient into the fakes. `discriminators`: ours, or wrappers of them.

        real: videos (b, T, 3, R, R) with labels (b,). Real and fake clips are passed separately, each with
        its own batch statistics.
        """

    @abstractmethod
    def generator_losses(self, discriminators: Discriminators, fakes: FakesT, draws: Draws) -> Losses:
        """The generator's losses, with gradient into the fakes."""

    @abstractmethod
    def realness(self, videos: Tensor, labels: Tensor) -> Tensor:
        """Scores (b,) of videos (b, T, 3, R, R) with labels (b,): higher is more real.

        Zero has no meaning, except under `zero_is_undecided`.
        """

    def begin_step_(self, n_clips_seen: int) -> None:
        """Prepare the networks for a step, before which the discriminators have seen `n_clips_seen` (growth).

        What it sets is a function of `n_clips_seen` and held in buffers, so that a resumed run and copies have it.
        """

    def constrain_update_(self) -> None:
        """Constrains the discriminators after each of their updates (weight clipping)."""

    def constrain_(self, step: int) -> None:
        """Constrains the discriminators after their last update of `step`, counted from 1 (singular value clipping)."""

    def motion_loss(
        self,
        real: Tensor,
        real_labels: Tensor,
        fakes: FakesT,
        draws: Draws,
        step: int,
        gathered: Callable[[Tensor], Tensor] = lambda tensor: tensor,
    ) -> tuple[Tensor, Tensor] | None:
        """A term of the generator's loss that compares fakes with real clips, and the number of compared pairs.

        None if there is no such term. real, real_labels: of the last discriminator update. `gathered` concatenates a
        tensor (b, ...) of all processes.
        """
        return None

    @property
    def frozen(self) -> list[nn.Module]:
        """Networks that the step uses and does not train."""
        return []

    @classmethod
    def losses_of_guessing(cls, config: Any) -> dict[str, float]:
        """By name, each discriminator loss that can fall to 0, and its value while D guesses; no Wasserstein loss can.

        `config` is a `config_type`.
        """
        return {}

    @classmethod
    def zero_is_undecided(cls, config: Any) -> bool:
        """Whether `realness` is the logit of one cross entropy, so that above 0 a video is called real (TGAN sec. 6.5).

        `config` is a `config_type`.
        """
        return False


AnyGAN: TypeAlias = GAN[Any, Any]  # for code that learns the family from a configuration

"""Shared by TGAN and its 3D model: settings, a discriminator of whole clips with three regularisers, the step."""

from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, Self, TypeVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import one_hot

from videogan.config import ConfigurationError
from videogan.constraints import clip_weights_, singular_value_clipping_
from videogan.draws import draw_uniform
from videogan.families.contract import (
    GAN,
    Colours,
    Discriminators,
    Draws,
    Fakes,
    FamilyConfig,
    Generator,
    Losses,
    Settings,
)
from videogan.losses import (
    CROSS_ENTROPY_OF_GUESSING,
    non_saturating_discriminator_loss,
    non_saturating_generator_loss,
    wasserstein_discriminator_loss,
    wasserstein_generator_loss,
)
from videogan.nets.chainer_initialisation import he_normal_, uniform_
from videogan.nets.layer_noise import draw_noise_seeds
from videogan.nets.volume_discriminator import N_FRAMES, Scale, VolumeDiscriminator
from videogan.nets.width import scaled

_WIDTHS_D = (64, 128, 256, 512)
_MATTERS_UNDER = {"n_clip": "svc", "gamma_eps": "svc", "clip_bound": "weight_clip", "noise_sigma": "none"}


class VolumeGANConfig(FamilyConfig):
    """The shared settings; the defaults are the TGAN paper's, else those of its released code."""

    resolution: Literal[32, 64] = Field(64, description="Side of a frame (sec. 6.1: 64; 32 for small machines)")
    n_classes: int = Field(ge=1, description="Classes of the data set (V); a generator without labels ignores them")
    n_frames: Literal[16] = Field(N_FRAMES, description="T, clip length (Table 1: four doublings)")
    n_colours: Colours = 3
    width: float = Field(
        1.0, gt=0, description="Scale of all channels of Table 1, at least one each; K of the codes stays"
    )
    dim_z: int = Field(100, ge=1, description="K_0, and TGAN's K_1: size of each code (Table 1)")
    regulariser: Literal["svc", "weight_clip", "none"] = Field(
        "svc", description="WGAN by singular value or weight clipping, or the normal GAN with noise (sec. 4, 6.2, 6.3)"
    )
    n_clip: int = Field(5, ge=1, description="Generator steps between two clippings under svc (alg. 1)")
    gamma_eps: bool = Field(
        True, description="svc bounds gamma by sqrt(var + eps) (Table 2), else sqrt(var) (released code)"
    )
    clip_bound: float = Field(0.01, gt=0, description="c: weights are kept in [-c, c] under weight_clip (sec. 6.2)")
    noise_sigma: float = Field(0.2, ge=0, description="Noise on each discriminator layer under none (sec. 6.3)")
    bn_beta: bool = Field(False, description="Batch norms with beta, which the released code omits")
    init: Literal["paper", "released_uniform"] = Field(
        "paper", description="paper: HeNormal, TGAN's G1 U(-.01, .01) (sec. 6.2); released_uniform: that for all"
    )

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> Self:
        problems = [
            f"{name} = {getattr(self, name)} has no effect under regulariser = {self.regulariser}. "
            f"Remove it or set model.regulariser={regulariser}."
            for name, regulariser in _MATTERS_UNDER.items()
            if regulariser != self.regulariser and getattr(self, name) != type(self).model_fields[name].default
        ]
        if problems:
            raise ValueError("\n".join(problems))
        return self


def label_vectors(y: Tensor | None, n_classes: int) -> Tensor:
    """v, (B, V): one-hot of labels (B,), or `y` itself if it is a mixture of classes (sec. 5.2)."""
    if y is None:
        raise ValueError("a conditional TGAN needs labels y, got none.")
    return y if y.is_floating_point() else one_hot(y, n_classes).float()


def refuse_other_lengths(n_frames: int | None, what_else: str) -> None:
    """Raise ConfigurationError for a number of frames other than 16 or None."""
    if n_frames not in (None, N_FRAMES):
        raise ConfigurationError(
            f"n_frames must be {N_FRAMES}, the four doublings of time, got {n_frames}; {what_else}."
        )


class VolumeGenerator(Generator):
    """What TGAN's generator and the 3D model's share: uniform codes, clips of 16 frames, no truncation."""

    config: VolumeGANConfig
    other_lengths: ClassVar[str]
    """Ends the refusal of another number of frames: what the family offers instead."""

    def sample_z(
        self,
        n: int,
        generator: torch.Generator | None = None,
        n_frames: int | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """z_0 ~ U(-1, 1), (n, K_0), on the networks' device (sec. 3.4: uniform; the interval is the released code's).

        Refuses truncation and other lengths.
        """
        refuse_other_lengths(n_frames, self.other_lengths)
        return draw_uniform(n, self.config.dim_z, generator, truncation).to(self.device)


def build_discriminator(config: VolumeGANConfig) -> VolumeDiscriminator:
    """The discriminator, initialised from torch's global generator."""
    scale: Scale = "none" if config.regulariser == "none" else "gamma_beta" if config.bn_beta else "gamma"
    discriminator = VolumeDiscriminator(
        tuple(scaled(channels, config.width) for channels in _WIDTHS_D),
        config.resolution,
        n_labels=config.n_classes if config.is_conditional else 0,
        scale=scale,
        sigma=config.noise_sigma if config.regulariser == "none" else 0.0,
        n_colours=config.n_colours,
    )
    return he_normal_(discriminator) if config.init == "paper" else uniform_(discriminator)


PUBLISHED_RUN: Settings = {
    "model.resolution": 64,
    "model.width": 1,
    "loop.batch_size": 32,
    "loop.n_d": 1,
    "optimiser.name": "rmsprop",
    "optimiser.rate_g": 5e-5,
    "optimiser.rate_d": 5e-5,
    "optimiser.alpha": 0.99,
}
SVC, WEIGHT_CLIP, NORMAL = ({"regulariser": regulariser} for regulariser in ("svc", "weight_clip", "none"))
OTHER_VALUES = {
    "n_clip": (2, SVC),
    "gamma_eps": (False, SVC),
    "clip_bound": (0.5, WEIGHT_CLIP),
    "noise_sigma": (0.5, NORMAL),
}

VolumeConfigT = TypeVar("VolumeConfigT", bound=VolumeGANConfig)


@dataclass(frozen=True)
class VolumeGAN(GAN[VolumeConfigT, Fakes], Generic[VolumeConfigT]):
    """The networks and their step. Labels have no effect unless `config.is_conditional`."""

    @classmethod
    def losses_of_guessing(cls, config: VolumeGANConfig) -> dict[str, float]:
        return {"video": CROSS_ENTROPY_OF_GUESSING} if config.regulariser == "none" else {}

    @classmethod
    def zero_is_undecided(cls, config: VolumeGANConfig) -> bool:
        return config.regulariser == "none"

    def draw(self, n: int, rng: torch.Generator, label_counts: Tensor, real_labels: Tensor) -> dict[str, Tensor]:
        """All random inputs of one update on n clips, on the CPU; see the contract.

        Returns z (n, K_0), labels of fakes y (n,) if conditional, and under the normal GAN noise_real, noise_fake (n,),
        seeds of the discriminator's noise.
        """
        draws = {"z": draw_uniform(n, self.config.dim_z, rng)} | self._draw_labels(n, rng, label_counts, real_labels)
        if self.config.regulariser == "none":
            draws |= {"noise_real": draw_noise_seeds(n, rng), "noise_fake": draw_noise_seeds(n, rng)}
        return draws

    def generate(self, generator: nn.Module, draws: Draws) -> Fakes:
        """Generate b fakes from the draws."""
        return Fakes(generator(draws["z"], draws.get("y")))

    def discriminator_losses(
        self, discriminators: Discriminators, real: Tensor, real_labels: Tensor, fakes: Fakes, draws: Draws
    ) -> Losses:
        """The discriminator's loss."""
        judge = discriminators["video"]
        real_scores = judge(real, self._v(real_labels), draws.get("noise_real"))
        fake_scores = judge(fakes.videos.detach(), self._v(draws.get("y")), draws.get("noise_fake"))
        if self.config.regulariser == "none":
            return {"video": non_saturating_discriminator_loss(real_scores, fake_scores)}
        return {"video": wasserstein_discriminator_loss(real_scores, fake_scores)}

    def generator_losses(self, discriminators: Discriminators, fakes: Fakes, draws: Draws) -> Losses:
        """The generator's loss."""
        scores = discriminators["video"](fakes.videos, self._v(draws.get("y")), draws.get("noise_fake"))
        if self.config.regulariser == "none":
            return {"video": non_saturating_generator_loss(scores)}
        return {"video": wasserstein_generator_loss(scores)}

    def realness(self, videos: Tensor, labels: Tensor) -> Tensor:
        """The discriminator's scores; a WGAN's zero has no meaning (sec. 6.5)."""
        return self.discriminators["video"](videos, self._v(labels))

    def constrain_(self, step: int) -> None:
        """After D's updates of step t, counted from 1: svc clips D where (t - 1) % n_clip == 0 (alg. 1).

        The paper clips after G's update; here G's update already sees the clipped D.
        """
        if self.config.regulariser == "svc" and (step - 1) % self.config.n_clip == 0:
            singular_value_clipping_(self.discriminators["video"], self.config.gamma_eps)

    def constrain_update_(self) -> None:
        """After each update of D: weight_clip keeps all its parameters in [-c, c] (sec. 3.2)."""
        if self.config.regulariser == "weight_clip":
            clip_weights_(self.discriminators["video"], self.config.clip_bound)

    def _draw_labels(
        self, n: int, rng: torch.Generator, label_counts: Tensor, real_labels: Tensor
    ) -> dict[str, Tensor]:
        """Labels of fakes, y (n,), if the family is conditional."""
        return {}

    def _v(self, y: Tensor | None) -> Tensor | None:
        return label_vectors(y, self.config.n_classes) if self.config.is_conditional else None

"""MVT-GAN (arXiv 2004.01823): video from a recurrent sequence generator and a per-frame image generator."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from videogan.constraints import singular_value_clipping_
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
from videogan.flow.lucas_kanade import LucasKanade
from videogan.flow.weights import pwc_net_from
from videogan.losses import HINGE_OF_GUESSING, hinge_discriminator_loss, hinge_generator_loss
from videogan.motion import FlowCos, MotionConstraint, RememberedFlows
from videogan.nets.image_discriminator import ImageDiscriminator
from videogan.nets.image_generator import MULTIPLES, ImageGenerator, TemporalShift
from videogan.nets.initialisation import Initialisation, initialise_
from videogan.nets.sequence_generator import SequenceGenerator
from videogan.nets.spectral_norm import normalise_spectrally
from videogan.nets.video_discriminator import N_FRAMES_MIN, VideoDiscriminator

Variant = Literal["mvt", "mvt_mc", "mvt_var", "mvt_tsa"]
_UNIT = {"sigma_a": 1.0, "sigma_b": 1.0, "sigma_c": 1.0, "shift_blocks": 0}
_VAR = {"sigma_a": 0.5, "sigma_b": 1.0, "sigma_c": 2.0, "shift_blocks": 0}
VARIANT_DEFAULTS: dict[str, dict[str, Any]] = {
    "mvt": _UNIT,
    "mvt_mc": {**_UNIT, "alpha": 1.0},
    "mvt_var": _VAR,
    "mvt_tsa": {**_VAR, "shift_blocks": 2},
}
"""The settings of each row of the paper's ablation (sec. 6.2, Table 2); explicit values override them."""


class MVTConfig(FamilyConfig):
    """The settings of one MVT-GAN; the defaults are the paper's, else those of its authors' code."""

    family: Literal["mvt"] = "mvt"
    variant: Variant = Field("mvt_tsa", description="Row of the ablation, sets defaults (sec. 6.2)")
    resolution: Literal[32, 64, 96, 128] = Field(
        96, description="Side of a frame, 32 w (sec. 6.1; 32, 64 for small machines)"
    )
    n_classes: int = Field(ge=1, description="K, rows of the class embeddings (sec. 4.1.2)")
    channels: int = Field(96, ge=1, description="a, the width of all networks but the GRU (released script)")
    n_frames: int = Field(16, ge=1, description="T, clip length (sec. 6.2)")
    n_colours: Colours = 3
    n_frames_image: int = Field(
        8, ge=1, description="N, frames D_Image sees (sec. 6.1: UCF-101 8, Weizmann and Jester 4)"
    )
    replace_frames: bool = Field(False, description="Draw the N frames with replacement (released code: yes)")
    dim_a: int = Field(20, ge=1, description="Size of the noise subspace A (sec. 6.2: 20)")
    dim_b: int = Field(20, ge=1, description="Size of the noise subspace B (sec. 6.2: 20)")
    dim_c: int = Field(80, ge=1, description="Size of the noise subspace C (sec. 6.2: 80)")
    sigma_a: float = Field(0.5, gt=0, description="Standard deviation of A (sec. 6.2: VAR, TSA 0.5, else 1)")
    sigma_b: float = Field(1.0, gt=0, description="Standard deviation of B (sec. 6.2: 1)")
    sigma_c: float = Field(2.0, gt=0, description="Standard deviation of C (sec. 6.2: VAR, TSA 2, else 1)")
    mean_a: float = Field(0.0, description="Mean of A (sec. 6.2: 0)")
    mean_b: float = Field(0.0, description="Mean of B (sec. 6.2: 0)")
    mean_c: float = Field(0.0, description="Mean of C (sec. 6.2: 0)")
    gru_hidden: int = Field(2048, ge=1, description="Cells of the GRU (app. A)")
    feed: Literal["auto", "repeat"] = Field(
        "auto", description="GRU input: its own last code, or z_fc again (released: auto)"
    )
    seq_bn: Literal["per_step", "none"] = Field(
        "per_step", description="Batch norm on each emitted code (released code)"
    )
    dim_embedding: int = Field(120, ge=1, description="Size of e(y) (sec. 4.1.2)")
    sn_embed_g: bool = Field(False, description="Spectral norm on the generator's e(y) (released: yes; BigGAN: no)")
    init: Initialisation = Field("orthogonal", description="Initial weights (BigGAN; released code: xavier)")
    attention_after_g: Literal[3, 4] = Field(
        3, description="Up-block before G's self-attention (released: 3; BigGAN: 4)"
    )
    attention_after_d: Literal[1, 2] = Field(
        2, description="Block before D_Image's self-attention (released: 2; BigGAN: 1)"
    )
    norm_g: Literal["batch", "none"] = Field(
        "batch", description="none: gain and bias alone, for exact data parallelism"
    )
    shift_blocks: int = Field(
        2, ge=0, le=5, description="First up-blocks with temporal shift (sec. 4.1.3: TSA 2, else 0)"
    )
    fold_div: int = Field(8, ge=1, description="1 / fraction of channels shifted each way (TSM: 8; released code: 3)")
    shift_place: Literal["residual", "inplace"] = Field(
        "residual", description="Shift the branch only, or the input (fig. 4)"
    )
    shift_direction: Literal["bi", "uni"] = Field("bi", description="Both ways, or from the past only (sec. 4.1.3: bi)")
    d_video: Literal["released", "mocogan"] = Field(
        "released", description="Ladder of D_Video (released code; sec. 4.2)"
    )
    d_video_norm: Literal["bn", "none"] = Field("bn", description="Batch norm in D_Video (released code: bn)")
    constraint_d_video: Literal["spectral_norm", "svc"] = Field(
        "spectral_norm", description="D_Video's Lipschitz constraint"
    )
    n_clip: int = Field(5, ge=1, description="Generator steps between two clippings under svc (TGAN sec. 4, alg. 1)")
    lambda_img: float = Field(1.0, ge=0, description="Weight of D_Image's terms (released code: 1)")
    lambda_vid: float = Field(1.0, ge=0, description="Weight of D_Video's terms (released code: 1)")
    label_sampling: Literal["uniform", "empirical", "match_real"] = Field(
        "uniform", description="Labels of fakes (released; with a motion constraint those of the real clips)"
    )
    alpha: float = Field(0.0, ge=0, description="Weight of the motion constraint (eq. 6: MVT-MC 1, else 0)")
    alpha_warm_up: int = Field(0, ge=0, description="Steps over which alpha rises evenly from 0 (paper: none)")
    flow: Literal["lucas_kanade", "pwc_net"] = Field(
        "lucas_kanade", description="Flow of L_M: without weights, or the paper's PWC-Net (sec. 4.3) from flow_weights"
    )
    flow_weights: str | None = Field(None, description="File of PWC-Net weights: published, or of vgsearch flow fit")
    flow_cos: FlowCos = Field("clip", description="Cosine of whole clips (eq. 5), or the mean over pairs of frames")
    flow_stride: int = Field(1, ge=1, description="Use every n-th pair of frames; above 1 changes the loss")
    flow_size: int | None = Field(
        None,
        ge=16,
        description="Side to which frames are resized before flow, which changes the loss; none: not resized",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_variant(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        variant = values.get("variant", cls.model_fields["variant"].default)
        filled = {**VARIANT_DEFAULTS.get(str(variant), {}), **values}
        # The motion constraint compares a fake with a real clip of its class, so each fake needs one.
        return {"label_sampling": "match_real", **filled} if filled.get("alpha", 0) != 0 else filled

    @model_validator(mode="after")
    def _refuse_impossible_settings(self) -> Self:
        if problems := [*_frame_problems(self), *_shift_problems(self), *_constraint_problems(self)]:
            raise ValueError("\n".join(problems))
        return self

    @property
    def is_conditional(self) -> bool:
        return True

    @property
    def compares_clips(self) -> bool:
        return self.alpha > 0

    @property
    def dim_z(self) -> int:
        """d = d_A + d_B + d_C."""
        return self.dim_a + self.dim_b + self.dim_c


def _frame_problems(config: MVTConfig) -> list[str]:
    n, t, t_min = config.n_frames_image, config.n_frames, N_FRAMES_MIN[config.d_video]
    problems = []
    if n > t:
        problems.append(f"n_frames_image (N) = {n} is more than the clip length T = {t}. Lower model.n_frames_image.")
    if t < t_min:
        problems.append(
            f"n_frames (T) must be at least {t_min} for D_Video ({config.d_video}) to keep a time step, got {t}. "
            "Raise model.n_frames."
        )
    return problems


def _shift_problems(config: MVTConfig) -> list[str]:
    n_blocks, variant = config.shift_blocks, config.variant
    if variant != "mvt_tsa":
        problems = [f"shift_blocks = {n_blocks} needs variant = mvt_tsa, got {variant}. Set model.variant=mvt_tsa."]
        inert = [
            f"{name} = {getattr(config, name)} has no effect under variant = {variant}. Remove it or set mvt_tsa."
            for name in ("fold_div", "shift_place", "shift_direction")
            if getattr(config, name) != MVTConfig.model_fields[name].default
        ]
        return (problems if n_blocks else []) + inert
    if n_blocks == 0:
        return [
            "shift_blocks must be at least 1 under variant = mvt_tsa, got 0. Without shift it is model.variant=mvt_var."
        ]
    least = 2 if config.shift_direction == "bi" else 1
    most = config.channels * MULTIPLES[n_blocks - 1]
    if not least <= config.fold_div <= most:
        return [
            f"fold_div must be between {least} ({config.shift_direction}) and {most} (channels of the last block), "
            f"got {config.fold_div}. Set model.fold_div."
        ]
    return []


def _constraint_problems(config: MVTConfig) -> list[str]:
    problems = []
    if config.constraint_d_video != "svc" and config.n_clip != MVTConfig.model_fields["n_clip"].default:
        problems.append(
            f"n_clip = {config.n_clip} has no effect under constraint_d_video = {config.constraint_d_video}. "
            "Remove it or set model.constraint_d_video=svc."
        )
    return problems + _motion_problems(config)


def _motion_problems(config: MVTConfig) -> list[str]:
    names = ("alpha_warm_up", "flow", "flow_weights", "flow_cos", "flow_stride", "flow_size")
    if config.variant == "mvt_mc" and config.alpha == 0:
        return ["alpha must be above 0 under variant = mvt_mc, got 0. Without the motion constraint it is mvt."]
    if config.variant in ("mvt", "mvt_var") and config.alpha > 0:
        remedy = "mvt_mc, or mvt_tsa for both" if config.variant == "mvt" else "mvt_tsa, which has shift too"
        return [f"alpha = {config.alpha:g} needs another variant, got {config.variant}. Set model.variant={remedy}."]
    if config.alpha == 0:
        return [
            f"{name} = {getattr(config, name)} has no effect without motion constraint. Remove it or set model.alpha."
            for name in names
            if getattr(config, name) != MVTConfig.model_fields[name].default
        ]
    if (config.flow == "pwc_net") != (config.flow_weights is not None):
        return [
            f"flow = {config.flow} and flow_weights = {config.flow_weights} do not go together: PWC-Net needs a file "
            "of weights, Lucas-Kanade has none. Set both or neither; vgsearch flow fit writes such a file."
        ]
    return []


class MVTGenerator(Generator):
    """G = G_Image after the sequence generator (fig. 2)."""

    config: MVTConfig

    def __init__(self, config: MVTConfig) -> None:
        super().__init__()
        self.config = config
        self.sequence = SequenceGenerator(config.dim_z, config.gru_hidden, config.feed, config.seq_bn, config.n_frames)
        self.image = ImageGenerator(
            config.channels,
            config.resolution,
            nn.Embedding(config.n_classes, config.dim_embedding),
            config.dim_z,
            TemporalShift(config.shift_blocks, config.fold_div, config.shift_place, config.shift_direction),
            config.attention_after_g,
            config.norm_g,
            config.n_colours,
        )

    @property
    def code_network(self) -> nn.Module:
        """The sequence generator."""
        return self.sequence

    @property
    def subspaces(self) -> dict[str, slice]:
        """The noise subspaces of z (sec. 4.1.1)."""
        b, c = self.config.dim_a, self.config.dim_a + self.config.dim_b
        return {"A": slice(0, b), "B": slice(b, c), "C": slice(c, self.config.dim_z)}

    def sample_z(
        self,
        n: int,
        generator: torch.Generator | None = None,
        n_frames: int | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """n codes Z_ABC, (n, d), for videos of any length, on the networks' device; see the function `sample_z`."""
        return sample_z(self.config, n, generator, truncation).to(self.device)

    def class_vectors(self, y: Tensor) -> Tensor:
        """e(y), (n, dim_embedding), of labels (n,)."""
        return self.image.embedding(y)

    def forward(self, z: Tensor, y: Tensor, n_frames: int | None = None) -> Tensor:
        """Videos (B, n_frames, 3, R, R) in [-1, 1] of any length, by default T.

        z: (B, d) codes; y: (B,) integer labels, or (B, dim_embedding) embeddings such as mixtures of two classes.
        """
        return self.image(self.sequence(z, self.config.n_frames if n_frames is None else n_frames), y)


def sample_z(
    config: MVTConfig, n: int, generator: torch.Generator | None = None, truncation: float | None = None
) -> Tensor:
    """Z_ABC ~ N(mean, diag(sigma^2)), (n, d), its subspaces in the order A, B, C (sec. 4.1.1); drawn on the CPU.

    `truncation` counts standard deviations from the mean; see `draw_normal`.
    """
    dims = torch.tensor([config.dim_a, config.dim_b, config.dim_c])
    sigma = torch.tensor([config.sigma_a, config.sigma_b, config.sigma_c]).repeat_interleave(dims)
    mean = torch.tensor([config.mean_a, config.mean_b, config.mean_c]).repeat_interleave(dims)
    return mean + sigma * draw_normal(n, config.dim_z, generator, truncation)


_NETWORKS = {"model.resolution": 96, "model.channels": 96, "model.gru_hidden": 2048}
_TRAINING = {"loop.batch_size": 40, "optimiser.name": "adam", "optimiser.rate_g": 5e-5, "optimiser.rate_d": 2e-4}
_OTHER_VALUES = {"variant": "mvt_var", "n_frames": 18, "shift_blocks": 1, "fold_div": 4}
_OF_MOTION = {"alpha": 2.0, "alpha_warm_up": 5, "flow_cos": "frame", "flow_stride": 2, "flow_size": 24}
_FACTS = Facts(
    tiny={"resolution": 32, "channels": 2, "gru_hidden": 8, "n_frames_image": 4, "dim_a": 4, "dim_b": 4, "dim_c": 8},
    n_parameters={"generator": 90_816_076, "image": 86_636_066, "video": 24_872_065},
    published={"resolution": 128},
    published_run=_NETWORKS | _TRAINING,
    variants=({"variant": "mvt_mc"}, {"constraint_d_video": "svc"}),
    without_batch_norm={"norm_g": "none", "seq_bn": "none", "d_video_norm": "none"},
    other_values={
        **{name: (value, {}) for name, value in _OTHER_VALUES.items()},
        **{name: (value, {"alpha": 1.0}) for name, value in _OF_MOTION.items()},
        "sn_embed_g": (True, {"init": "xavier"}),
        "n_clip": (2, {"constraint_d_video": "svc"}),
    },
    tried_elsewhere=frozenset({"flow", "flow_weights"}),
)


@dataclass(frozen=True)
class MVTGAN(GAN[MVTConfig, Fakes]):
    """The networks of one MVT-GAN and its step."""

    generator: MVTGenerator
    motion: MotionConstraint | None = None

    config_type = MVTConfig
    generator_type = MVTGenerator
    facts = _FACTS
    recomputes = True

    @classmethod
    def build(cls, config: MVTConfig) -> Self:
        """Build the networks. Raises ConfigurationError if flow_weights are not PWC-Net's."""
        generator = initialise_(MVTGenerator(config), config.init)
        normalise_spectrally(generator, without=() if config.sn_embed_g else (generator.image.embedding,))
        image = ImageDiscriminator(config.channels, config.n_classes, config.attention_after_d, config.n_colours)
        video = VideoDiscriminator(
            config.channels, config.n_classes, config.d_video, config.d_video_norm, config.n_colours
        )
        normalise_spectrally(initialise_(image, config.init))
        initialise_(video, config.init)
        if config.constraint_d_video == "spectral_norm":
            normalise_spectrally(video)
        return cls(config, generator, {"image": image, "video": video}, _motion_constraint(config))

    @property
    def frozen(self) -> list[nn.Module]:
        """The flow network of the motion constraint."""
        estimator = None if self.motion is None else self.motion.estimator
        return [estimator] if isinstance(estimator, nn.Module) else []

    @classmethod
    def losses_of_guessing(cls, config: MVTConfig) -> dict[str, float]:
        weights = {"image": config.lambda_img, "video": config.lambda_vid}
        return {name: weight * HINGE_OF_GUESSING for name, weight in weights.items() if weight}

    def draw(self, n: int, rng: torch.Generator, label_counts: Tensor, real_labels: Tensor) -> dict[str, Tensor]:
        """All random inputs of one update on n clips, on the CPU; see the contract.

        label_counts: (K,) training clips of each class; real_labels: (n,). Returns z (n, d), y (n,), and for each clip
        the N frame indices that D_Image sees, drawn separately for real and fake: frames_real, frames_fake (n, N).
        """
        config = self.config
        return {
            "z": sample_z(config, n, rng),
            "y": draw_labels(config.label_sampling, n, config.n_classes, rng, label_counts, real_labels),
            "frames_real": self._draw_frames(n, rng),
            "frames_fake": self._draw_frames(n, rng),
        }

    def generate(self, generator: nn.Module, draws: Draws) -> Fakes:
        """Generate b fakes from the draws."""
        return Fakes(generator(draws["z"], draws["y"], self.config.n_frames))

    def discriminator_losses(
        self, discriminators: Discriminators, real: Tensor, real_labels: Tensor, fakes: Fakes, draws: Draws
    ) -> Losses:
        """Weighted hinge terms of D_Image and D_Video (eq. 2)."""
        image, video, fake = discriminators["image"], discriminators["video"], fakes.videos.detach()
        image_loss = hinge_discriminator_loss(
            image(frames_at(real, draws["frames_real"]), real_labels),
            image(frames_at(fake, draws["frames_fake"]), draws["y"]),
        )
        video_loss = hinge_discriminator_loss(video(real, real_labels), video(fake, draws["y"]))
        return {"image": self.config.lambda_img * image_loss, "video": self.config.lambda_vid * video_loss}

    def generator_losses(self, discriminators: Discriminators, fakes: Fakes, draws: Draws) -> Losses:
        """Weighted hinge terms of the generator (eq. 3)."""
        image_logits = discriminators["image"](frames_at(fakes.videos, draws["frames_fake"]), draws["y"])
        video_logits = discriminators["video"](fakes.videos, draws["y"])
        return {
            "image": self.config.lambda_img * hinge_generator_loss(image_logits),
            "video": self.config.lambda_vid * hinge_generator_loss(video_logits),
        }

    def motion_loss(
        self,
        real: Tensor,
        real_labels: Tensor,
        fakes: Fakes,
        draws: Draws,
        step: int,
        gathered: Callable[[Tensor], Tensor] = lambda tensor: tensor,
    ) -> tuple[Tensor, Tensor] | None:
        """alpha (1 - L_M) and its number of pairs C (eq. 5, 6), None without motion constraint; see the contract."""
        if self.motion is None:
            return None
        return self.motion.loss(real, real_labels, fakes.videos, draws["y"], step, gathered)

    def realness(self, videos: Tensor, labels: Tensor) -> Tensor:
        """The mean logits of D_Image on N evenly spaced frames and of D_Video, weighted as in the losses."""
        frames = evenly_spaced(videos, self.config.n_frames_image)
        image = self.discriminators["image"](frames, labels).view(len(videos), -1).mean(1)
        video = self.discriminators["video"](videos, labels).view(len(videos))
        return self.config.lambda_img * image + self.config.lambda_vid * video

    def constrain_(self, step: int) -> None:
        """After D's update in step t, counted from 1: svc clips D_Video where (t - 1) % n_clip == 0 (TGAN alg. 1)."""
        if self.config.constraint_d_video != "svc" or (step - 1) % self.config.n_clip:
            return
        singular_value_clipping_(self.discriminators["video"])

    def _draw_frames(self, n: int, rng: torch.Generator) -> Tensor:
        config = self.config
        return draw_frames(n, config.n_frames, config.n_frames_image, rng, config.replace_frames)


def _motion_constraint(config: MVTConfig) -> MotionConstraint | None:
    if config.alpha == 0:
        return None
    estimator = LucasKanade() if config.flow_weights is None else pwc_net_from(config.flow_weights)[0]
    settings = config.alpha, config.alpha_warm_up, config.flow_cos, config.flow_stride, config.flow_size
    return MotionConstraint(estimator, *settings, RememberedFlows())

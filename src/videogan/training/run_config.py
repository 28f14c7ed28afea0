"""The configuration of one training run: model, data, optimiser, loop, evaluation, health and seed."""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import Field, field_validator, model_validator

from videogan.config import Config, suggestion
from videogan.data.clips import DataConfig
from videogan.data.preprocessing import preprocessing_named
from videogan.families import FAMILIES
from videogan.families.contract import FamilyConfig
from videogan.metrics import OF_PACKAGES, ONE_PER_CLASS, SCORES_OF_S3, VERSION, earlier_version
from videogan.protocols import PROTOCOLS, FeatureProtocol, S3Protocol
from videogan.protocols.classifier import WeightsFile
from videogan.protocols.features import FeatureMetric
from videogan.protocols.initial_weights import with_weights
from videogan.seeds import LARGEST_SEED
from videogan.training.health import HealthConfig

if TYPE_CHECKING:  # a type checker cannot know the families of installed packages
    ModelConfig = FamilyConfig
else:
    _CONFIG_TYPES = tuple(family.config_type for family in FAMILIES.values())
    ModelConfig = Annotated[Union[_CONFIG_TYPES], Field(discriminator="family")]  # noqa: UP007 (a tuple has no |)


class OptimiserConfig(Config):
    """The optimisers of both players: `lr_g` is the generator's learning rate, `lr_d` the discriminators'.

    The defaults are MVT-GAN's (section 6.2: 5e-5, 2e-4; Adam's betas from its authors' code). TGAN: rmsprop, both rates
    5e-5, alpha 0.99 (section 6.2, as WGAN). Video GAN and MoCoGAN: adam, both rates 2e-4, beta1 0.5, beta2 0.999,
    MoCoGAN with weight_decay 1e-5. `lr_scale` multiplies both rates. Adam's best rate falls about as 1 / width
    (Yang et al. 2022, "Tensor Programs V"): with lr_scale = 96 / channels the rates of a narrower network are
    comparable with the paper's. Files of versions before 0.2.0 hold `lr_ratio` in place of lr_d: lr_d / lr_g.
    """

    name: Literal["adam", "rmsprop"] = "adam"
    lr_g: float = Field(5e-5, gt=0)
    lr_d: float = Field(2e-4, gt=0)
    lr_scale: float = Field(1.0, gt=0)
    beta1: float = Field(0.0, ge=0, lt=1, description="decay of Adam's mean of gradients")
    beta2: float = Field(0.9, gt=0, lt=1, description="decay of Adam's mean of their squares")
    alpha: float = Field(0.99, gt=0, lt=1, description="decay of RMSProp's mean of squared gradients")
    eps: float = Field(1e-8, gt=0, description="added to the root of the mean squared gradient")
    weight_decay: float = Field(0.0, ge=0, description="added to each gradient, times the weight")
    decay: Literal["none", "linear"] = Field(
        "none", description="linear: both rates fall in equal steps to 0 behind the last step (TGANv2)"
    )

    @model_validator(mode="before")
    @classmethod
    def _lr_d_of_lr_ratio(cls, written: Any) -> Any:
        if not isinstance(written, Mapping) or "lr_ratio" not in written:
            return written
        if "lr_d" in written:
            raise ValueError("optimiser.lr_ratio is lr_d / lr_g of earlier versions; remove it where lr_d is given.")
        rates = {"lr_g": cls.model_fields["lr_g"].default, **written}
        if not all(isinstance(rates[name], int | float) for name in ("lr_g", "lr_ratio")):
            return written
        values = {name: value for name, value in written.items() if name != "lr_ratio"}
        return {**values, "lr_d": rates["lr_g"] * rates["lr_ratio"]}

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> "OptimiserConfig":
        inert, other = (("beta1", "beta2"), "adam") if self.name == "rmsprop" else (("alpha",), "rmsprop")
        problems = [
            f"optimiser.{name} = {getattr(self, name):g} has no effect under optimiser.name = {self.name}. "
            f"Remove it or set optimiser.name={other}."
            for name in inert
            if getattr(self, name) != type(self).model_fields[name].default
        ]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def rate_g(self) -> float:
        """The rate of the generator."""
        return self.lr_g * self.lr_scale

    @property
    def rate_d(self) -> float:
        """The rate of the discriminators."""
        return self.lr_d * self.lr_scale


LEAST_CLIPS = 2
"""Clips of a worker's batch, or of a part of it: batch norm needs two."""


class LoopConfig(Config):
    """Length, batches, precision and memory of training. A step is `n_d` updates of the discriminators and one of G.

    `accumulate` = k > 1 sums the gradients of k equal parts of each worker's batch before each update, which needs the
    memory of one part. The gradients are those of the whole batch but for what depends on how a batch is passed:
    - batch norm takes each part's own statistics, as on k times as many workers; running ones move k times an update;
    - spectral norm makes a power iteration in each forward, so k times as many an update;
    - losses are means over the parts, each before the same update.
    A motion constraint (alpha > 0) pairs clips of the whole batch, and `reuse_fakes` keeps the generator's graph of
    all parts: with both k > 1 is refused.
    `checkpoint_activations` computes the activations of blocks again in the backward pass: equal gradients, about a
    third more arithmetic.
    `tf32` is faster on GPUs since NVIDIA's A100 and rounds the inputs of fp32 convolutions and matrix products. Scores,
    spectral norms and singular value clipping never use it: with it the largest clipped singular value was 1.0004.
    `compile` fuses the operations of the networks' calls in training (torch.compile): equal results but for rounding,
    after minutes in the first step. Scores and samples call the networks as they are.
    """

    n_steps: int = Field(200_000, ge=1)
    batch_size: int = Field(40, ge=2, description="clips of the global batch, over all workers")
    n_d: int = Field(2, ge=1, description="discriminator updates per generator update (n_D)")
    reuse_fakes: bool = Field(
        False, description="the generator's update uses the fakes of the last discriminator update"
    )
    accumulate: int = Field(1, ge=1, description="parts of each worker's batch whose gradients are summed")
    checkpoint_activations: bool = Field(
        False, description="compute the activations of blocks again for the backward pass instead of keeping them"
    )
    precision: Literal["fp32", "bf16"] = "fp32"
    tf32: bool = Field(False, description="on GPUs: TF32, 10 bits of mantissa, in fp32 training; never in scores")
    compile: bool = Field(False, description="compile the networks' calls in training with torch.compile")
    channels_last: bool = True
    ema_decay: float | None = Field(
        None, gt=0, lt=1, description="decay of the average of the generator's weights; none: no average"
    )
    look_every: int = Field(5_000, ge=1, description="steps between two looks; each look also writes a checkpoint")
    log_every: int = Field(50, ge=1, description="steps between two lines of metrics.jsonl")

    @model_validator(mode="after")
    def _parts_of_a_batch(self) -> "LoopConfig":
        k = self.accumulate
        if k == 1:
            return self
        if self.batch_size % k or self.batch_size // k < LEAST_CLIPS:
            raise ValueError(
                f"loop.accumulate must split loop.batch_size {self.batch_size} into equal parts of at least "
                f"{LEAST_CLIPS} clips, got {k}; e.g. 2 of an even batch."
            )
        if self.reuse_fakes:
            raise ValueError(
                f"loop.accumulate = {k} saves no memory with loop.reuse_fakes, which keeps the graph of all fakes. "
                "Set loop.reuse_fakes=false, or loop.accumulate=1."
            )
        return self


class EvaluationConfig(Config):
    """How a trial is scored: the named protocol of its S3, and the scores that the search optimises.

    Scores on features, if the objective names one, use the classifier of the same protocol. With `classifier_weights`
    all of them become other protocols: their names end in the first digits of the file's sha256.
    """

    protocol: str = "s3_r3d18_v2"
    classifier_weights: WeightsFile | None = Field(None, description="the classifiers' initial weights")
    objective: tuple[str, ...] = Field(
        ("s3",), description="one score by name, or two for a Pareto front; a leading minus means smaller is better"
    )
    one_per_class: bool = Field(
        False, description="for models without labels: train one generator for each class and score them together"
    )
    n_look_clips: int = Field(512, ge=1, description="maximum number of synthetic clips in a look")
    standing_batches: int = Field(
        16, ge=1, description="sampling batches that re-estimate batch-norm statistics before each evaluation"
    )

    best_may_copy: bool = Field(
        False, description="whether a trial whose samples copy training clips can be the best of a search"
    )

    @field_validator("objective", mode="before")
    @classmethod
    def _objectives_as_tuple(cls, written: Any) -> Any:
        return (written,) if isinstance(written, str) else written

    @model_validator(mode="after")
    def _protocol_exists(self) -> "EvaluationConfig":
        named = {name: protocol for name, protocol in PROTOCOLS.items() if isinstance(protocol, S3Protocol)}
        if self.protocol in named and named[self.protocol].leak:
            raise ValueError(
                f"evaluation.protocol '{self.protocol}' lets the scored clips steer the classifiers, so it must not "
                f"choose anything; use {self.protocol.replace('_paper_', '_')}, and "
                f"evaluate CKPT --metrics {self.protocol}."
            )
        known = [name for name, protocol in named.items() if not protocol.leak]
        if (version := earlier_version(self.protocol)) is not None:
            now = self.protocol.replace(f"_{version}", f"_{VERSION}")
            raise ValueError(
                f"evaluation.protocol {self.protocol} is of an earlier version of the score, not comparable with "
                f"{VERSION}{suggestion(now, known)}"
            )
        if self.protocol not in known:
            raise ValueError(f"evaluation.protocol '{self.protocol}' is unknown{suggestion(self.protocol, known)}")
        return self

    @property
    def s3_protocol(self) -> S3Protocol:
        found = PROTOCOLS[self.protocol]
        assert isinstance(found, S3Protocol), "_protocol_exists refuses others"
        if self.one_per_class:
            found = found.model_copy(update={"name": f"{found.name}{ONE_PER_CLASS}"})
        return found if self.classifier_weights is None else with_weights(found, self.classifier_weights)

    def feature_protocol(self, metric: FeatureMetric) -> FeatureProtocol:
        """The protocol of `metric` on the S3 protocol's classifier: kvd_r3d18_smoke_v2 beside s3_r3d18_smoke_v2."""
        found = PROTOCOLS[self.protocol.replace("s3", metric, 1)]
        assert isinstance(found, FeatureProtocol), found.name
        return found if self.classifier_weights is None else with_weights(found, self.classifier_weights)


class RunConfig(Config):
    """A resolved training run. Refuses combinations that cannot train, before training starts."""

    model: ModelConfig
    data: DataConfig = DataConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    loop: LoopConfig = LoopConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    health: HealthConfig = HealthConfig()
    seed: int = Field(0, ge=0, le=LARGEST_SEED)

    @model_validator(mode="after")
    def _can_train(self) -> "RunConfig":
        size = preprocessing_named(self.preprocessing).size
        if size != self.model.resolution:
            raise ValueError(
                f"data.preprocessing must give frames of model.resolution {self.model.resolution}, got {size} from "
                f"{self.preprocessing}; leave it out, or name one of that size."
            )
        n_frames = self.evaluation.s3_protocol.classifier.n_frames
        if self.model.n_frames != n_frames:
            raise ValueError(
                f"model.n_frames must be the {n_frames} of evaluation.protocol {self.evaluation.protocol}, "
                f"got {self.model.n_frames}."
            )
        self._refuse_scores_of_labels_without_labels()
        self._refuse_memory_savings_without_effect()
        self._refuse_what_is_not_compiled()
        return self

    def _refuse_memory_savings_without_effect(self) -> None:
        family, loop = self.model.family, self.loop
        if loop.checkpoint_activations and not FAMILIES[family].recomputes:
            raise ValueError(
                f"loop.checkpoint_activations has no effect on {family}, whose networks keep all activations; remove "
                "it, or set loop.accumulate."
            )
        if loop.accumulate > 1 and self.model.compares_clips:
            raise ValueError(
                f"loop.accumulate = {loop.accumulate} would split the pairs of the motion constraint, which are "
                "formed over the whole batch. Set model.alpha=0, or loop.checkpoint_activations=true in its place."
            )

    def _refuse_what_is_not_compiled(self) -> None:
        family, loop = self.model.family, self.loop
        if not loop.compile:
            return
        if FAMILIES[family].differentiates_twice:
            raise ValueError(
                f"loop.compile cannot train {family}, whose loss holds a gradient of D: torch differentiates what it "
                "has compiled once only. Leave loop.compile out."
            )
        for name, reason in (
            ("tf32", "torch compiles nothing while it is set"),
            ("checkpoint_activations", "compiled networks choose by themselves what they compute again"),
        ):
            if getattr(loop, name):
                raise ValueError(f"loop.compile and loop.{name} exclude each other: {reason}. Leave one out.")

    def _refuse_scores_of_labels_without_labels(self) -> None:
        """Looks are ReS, which needs labels, unless the objective starts with a distance."""
        if self.evaluation.one_per_class and self.model.is_conditional:
            raise ValueError(
                f"evaluation.one_per_class is for models without labels, but this {self.model.family} generates with "
                "labels; remove it, or set the model's own option to generate without labels."
            )
        if self.model.is_conditional or self.evaluation.one_per_class:
            return
        objective = self.evaluation.objective
        first = next((name for name in objective if name != "-cost"), "-kvd")
        if not first.startswith(("-", OF_PACKAGES)) or any(
            name.removeprefix("-") in SCORES_OF_S3 for name in objective
        ):
            raise ValueError(
                "evaluation.objective must start with a distance and contain no part of S3, got "
                f"{','.join(objective)}: this {self.model.family} generates without labels. "
                "Set evaluation.objective=-kvd, use a conditional model, or train one generator a class: --one-per-class."
            )

    @property
    def n_steps(self) -> int:
        """The last step of training."""
        return self.loop.n_steps

    @property
    def n_frames(self) -> int:
        """T of the generated clips."""
        return self.model.n_frames

    @property
    def resolution(self) -> int:
        """Height and width of the generated clips, in pixels."""
        return self.model.resolution

    def setting(self, path: str) -> Any:
        """The value at a dotted path, such as model.sigma_a; raises AttributeError if there is none."""
        return functools.reduce(getattr, path.split("."), self)

    @property
    def n_conditions(self) -> int:
        """Number of classes that the generator can make on request; 1 if it is unconditional."""
        return self.model.n_classes if self.model.is_conditional else 1

    @property
    def preprocessing(self) -> str:
        """The named preprocessing of every real clip this run sees."""
        return self.data.preprocessing or f"plain_{self.model.resolution}"

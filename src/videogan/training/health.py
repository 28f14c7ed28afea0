"""Health of a training: failures that a look can detect before the score shows them, each with its evidence."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args

from pydantic import Field, model_validator
from torch import Tensor

from videogan.config import Config
from videogan.metrics.diversity import COLLAPSED, class_diversity
from videogan.metrics.motion_health import EXCESS, FROZEN, SLOW
from videogan.training.motion_check import MotionCheck

State = Literal["exploding norms", "D saturated", "mode collapse", "frozen", "looping", "slow motion"]
"""The unhealthy states, worst first."""
SATURATED = 0.01
"""D is saturated below this share of the loss of guessing, or, with a Wasserstein loss, of G's usual gradient norm."""
EXPLODED_GRADIENT = 100
"""A gradient norm has exploded above this multiple of the run's median."""
EXPLODED_WEIGHT = 10
"""A weight norm has exploded above this multiple of the run's first."""
AT_PACE = 0.85
"""Samples at this share of the speed of real clips are not slow: their frames repeat for another reason."""
N_NEWEST, N_BEFORE = 5, 10
"""How many of the newest logged norms are compared, by their median, and how many earlier ones that needs."""


class HealthConfig(Config):
    """Which states of health stop a trial: none by default, because early looks can mislead."""

    stop_on: tuple[State, ...] = ()
    n_looks: int = Field(3, ge=1, description="consecutive looks with the state that stop the trial")

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> "HealthConfig":
        if not self.stop_on and self.n_looks != type(self).model_fields["n_looks"].default:
            raise ValueError(
                f"health.n_looks = {self.n_looks} has no effect without health.stop_on; remove it or name states to "
                f"stop on: {', '.join(get_args(State))}."
            )
        return self


@dataclass(frozen=True)
class Vitals:
    """Measurements of one look; NaN if one does not apply or is not known yet."""

    loss_share: float = math.nan
    """Mean discriminator loss since the last look over the loss of guessing; the least of losses that can reach 0."""
    signal_share: float = math.nan
    """If no loss can fall to 0: G's gradient norm over the run's median."""
    gradient_growth: float = math.nan
    """Gradient norm over the run's median: the larger of G's and D's."""
    weight_growth: float = math.nan
    """Weight norm over the run's first: the larger of G's and D's."""
    class_diversity: float = math.nan
    """Diversity of the median class: 0 if all its samples are one clip, 1 if they differ as real clips do."""
    freezing: float = math.nan
    freezing_real: float = math.nan
    looping: float = math.nan
    looping_real: float = math.nan
    """Shares of samples and of real clips that hardly move, or that differ little after one fixed lag."""
    still_frames: float = math.nan
    still_frames_real: float = math.nan
    """Shares of frames as near to the frame before as the nearest 1 % of real frames are to an earlier one."""
    returning_frames: float = math.nan
    returning_frames_real: float = math.nan
    """Shares of the other frames that are as near to an older one."""
    freezing_at_pace: float = math.nan
    still_frames_at_pace: float = math.nan
    """The two shares of samples if frames are as far apart as they take for a real clip's motion in one frame."""
    flow_ratio: float = math.nan
    """Median length of the samples' flow over that of real clips: 1 as fast, 0 still."""

    def measured(self) -> dict[str, float]:
        """The measurements that are known, by name."""
        return {name: value for name, value in asdict(self).items() if not math.isnan(value)}

    @classmethod
    def of(cls, measured: Mapping[str, float]) -> "Vitals":
        """The inverse of `measured`."""
        return cls(**{field.name: measured[field.name] for field in fields(cls) if field.name in measured})


def states(vitals: Vitals) -> dict[State, str]:
    """The states found, worst first, each with its evidence in words; empty if all is well."""
    v, found = vitals, dict[State, str]()
    if v.gradient_growth > EXPLODED_GRADIENT:
        found["exploding norms"] = f"gradients {v.gradient_growth:.3g} times as long as the run's median"
    elif v.weight_growth > EXPLODED_WEIGHT:
        found["exploding norms"] = f"weights {v.weight_growth:.3g} times as long as at the run's beginning"
    if v.loss_share < SATURATED:
        found["D saturated"] = f"D's loss {100 * v.loss_share:.2g} % of that of guessing"
    elif v.signal_share < SATURATED:
        found["D saturated"] = f"G's gradient {100 * v.signal_share:.2g} % of the run's median"
    if v.class_diversity < COLLAPSED:
        found["mode collapse"] = (
            f"samples of the median class differ {v.class_diversity:.2f} times as much as real clips do"
        )
    return found | _states_of_motion(v)


def _states_of_motion(v: Vitals) -> dict[State, str]:
    """Frozen or slow motion, and looping, by shares of clips or else of frames, each against that of real clips."""
    found = dict[State, str]()
    speed = f"samples move {v.flow_ratio:.2f} times as fast as real clips (optical flow)"
    stands = (
        _of_clips(v.freezing, v.freezing_real, "hardly move")
        or _of_frames(v.still_frames, v.still_frames_real, "the frame before")
        or (speed if v.flow_ratio < FROZEN else "")
    )
    returns = _of_clips(v.looping, v.looping_real, "loop") or _of_frames(
        v.returning_frames, v.returning_frames_real, "an older frame"
    )
    moves_at_pace = (
        v.freezing_at_pace <= v.freezing_real + EXCESS and v.still_frames_at_pace <= v.still_frames_real + EXCESS
    )
    is_slow = v.flow_ratio < SLOW or bool(stands and moves_at_pace and v.flow_ratio < AT_PACE)
    if stands and not (is_slow and moves_at_pace):
        found["frozen"] = stands
    if returns:
        found["looping"] = returns
    if "frozen" not in found and is_slow:
        found["slow motion"] = speed
    return found


def _of_clips(share: float, of_real: float, do: str) -> str:
    """The evidence that more samples than real clips do it; empty if they do not."""
    evidence = f"{100 * share:.0f} % of the samples {do}, {100 * of_real:.0f} % of real clips"
    return evidence if share > of_real + EXCESS else ""


def _of_frames(share: float, of_real: float, shown_before: str) -> str:
    """The evidence that more of the samples' frames than of real ones repeat; empty if they do not."""
    evidence = f"{100 * share:.0f} % of the samples' frames repeat {shown_before}, {100 * of_real:.0f} % of real ones"
    return evidence if share > of_real + EXCESS else ""


def reason_to_stop(looks: Sequence[Mapping[State, str]], config: HealthConfig) -> str | None:
    """Why training stops: a state of `stop_on` that the last `n_looks` of `looks` all show; None if it continues."""
    newest = looks[-config.n_looks :]
    if len(newest) < config.n_looks:
        return None
    for state in config.stop_on:
        if all(state in shown for shown in newest):
            return f"{state} at {config.n_looks} looks in a row: {newest[-1][state]}"
    return None


class Course:
    """The losses since the last look and the norms of the whole run, from which a look computes its vitals."""

    def __init__(self, losses_of_guessing: Mapping[str, float]) -> None:
        """losses_of_guessing: as a family gives them, by the name of the discriminator."""
        self._guessing = {f"d_{name}": loss for name, loss in losses_of_guessing.items()}
        self._losses: list[Mapping[str, float]] = []
        self._norms: list[Mapping[str, float]] = []

    def step(self, losses: Mapping[str, float]) -> None:
        """Add the losses of one step."""
        self._losses.append({term: losses[term] for term in self._guessing})

    def norms(self, norms: Mapping[str, float]) -> None:
        """Add norms by name: gradient_g, gradient_d, weight_g, weight_d."""
        self._norms.append(norms)

    def vitals(self, of_samples: Mapping[str, float]) -> Vitals:
        """The vitals of a look, with those measured on its samples. Starts a new record of losses."""
        shares = [
            statistics.fmean(losses[term] for losses in self._losses) / loss
            for term, loss in self._guessing.items()
            if self._losses
        ]
        self._losses = []
        signal = math.nan if self._guessing else self._against_median("gradient_g")
        return Vitals(
            loss_share=min(shares, default=math.nan),
            signal_share=signal,
            gradient_growth=_greatest(self._against_median(name) for name in ("gradient_g", "gradient_d")),
            weight_growth=_greatest(self._against_first(name) for name in ("weight_g", "weight_d")),
            **of_samples,
        )

    def _against_median(self, name: str) -> float:
        """The median of the newest values over that of all earlier ones; NaN if those are too few."""
        values = [norms[name] for norms in self._norms]
        before, newest = values[:-N_NEWEST], values[-N_NEWEST:]
        if len(before) < N_BEFORE:
            return math.nan
        return _ratio(statistics.median(newest), statistics.median(before))

    def _against_first(self, name: str) -> float:
        values = [norms[name] for norms in self._norms]
        return _ratio(values[-1], values[0]) if values else math.nan


class SampleCheck:
    """Diversity and motion of samples against those of real clips, which are computed once."""

    def __init__(self, real_frames: Tensor, real_features: Tensor, labels: Tensor, n_classes: int) -> None:
        """real_frames: uint8 (n, T, H, W, C); real_features: (n, d); labels: (n,), of real clips and samples."""
        self._features, self._labels, self._n_classes = real_features, labels, n_classes
        self._motion = MotionCheck(real_frames)

    def __call__(self, frames: Tensor, features: Tensor) -> dict[str, float]:
        """The vitals of samples, uint8 (n, T, H, W, C), and their features (n, d), in the order of the labels."""
        diversity = class_diversity(features, self._labels, self._features, self._labels, self._n_classes)
        return {"class_diversity": diversity.nanmedian().item(), **self._motion(frames)}


def _greatest(values: Iterable[float]) -> float:
    return max((value for value in values if not math.isnan(value)), default=math.nan)


def _ratio(value: float, reference: float) -> float:
    return value / reference if reference else math.nan

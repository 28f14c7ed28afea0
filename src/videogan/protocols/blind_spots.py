"""Faults that scores miss: memorisation, frozen and looping clips, unneeded motion, collapse within classes."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from videogan.classifiers.contract import VideoClassifier
from videogan.classifiers.fit import features, predict
from videogan.data.clip_set import ClipSet, LabelledClips, RealSet, Subset, all_windows
from videogan.flow.speed import flow_speeds
from videogan.metrics.diversity import COLLAPSED, class_diversity
from videogan.metrics.evenly_spaced import evenly_spaced
from videogan.metrics.frame_repeats import frame_errors, frame_repeats, repeat_threshold, t_dssim, t_psnr
from videogan.metrics.memorisation import memorisation_ratio
from videogan.metrics.motion_health import (
    EXCESS,
    SLOW,
    flow_ratio,
    motion_health,
    shuffle_frames,
    typical_motion,
)
from videogan.metrics.s3 import accuracy
from videogan.protocols.classifier import ClassifierProtocol, refuse_other_lengths
from videogan.protocols.copies import FLAGGED_ABOVE, Copies
from videogan.protocols.s3 import SyntheticSet, like_real
from videogan.protocols.training_features import TrainingFeatures, nearest_by_features
from videogan.protocols.window_search import Nearest
from videogan.storage.json_values import json_values

N_PICTURED = 8
MOST_CLIPS = 1000
N_FLOWS = 128  # synthetic and real clips whose flow is computed: for thousands at 96 px it would take half an hour
N_DSSIM = 32  # the same for t-DSSIM, which takes a third of a second per clip at 96 px


@dataclass(frozen=True)
class Pair:
    """A measure of the synthetic clips and the same measure of the real test clips."""

    synthetic: float
    real: float


@dataclass(frozen=True)
class BlindSpots:
    """Faults that a high score may hide, each measured beside the real test clips."""

    memorisation_features: float
    """Median cosine distance to the nearest training window over that of real test clips; far below 1: memorised."""
    memorisation_pixels: float
    """The same in pixels, over all windows, mirrored and at any brightness: see `videogan.protocols.copies`."""
    copies: float
    """Share of samples that copy a training window: less than half as far, in pixels, as 99 % of held-back windows."""
    motion: Pair
    """Median over clips of the mean absolute change between adjacent frames, in levels of 255."""
    flow: Pair
    """Median over at most `N_FLOWS` evenly spaced clips of the weight-free flow's mean length, in pixels per frame."""
    flow_ratio: float
    """Synthetic flow divided by real flow; 1: as fast as real clips, below: slower. NaN if real clips are still."""
    freezing_rate: Pair
    looping_rate: Pair
    repeats: Pair
    """Share of frames as near to an earlier frame of their clip as the nearest 1 % of real frames; also slow motion."""
    t_psnr: Pair
    """MDP's t-PSNR, in dB; high if frames repeat, compared with real clips."""
    t_dssim: Pair
    """MDP's t-DSSIM over at most `N_DSSIM` evenly spaced clips; low if frames repeat."""
    res: Pair
    """Accuracy of the real-trained classifier; on real clips this is ReR. NaN if its classes are not the data set's."""
    res_of_shuffled_frames: Pair
    """The same with the frames of each clip in random order: the loss shows how much the classes depend on motion."""
    class_diversity: list[float]
    """Per class, the mean distance between synthetic clips divided by that between real ones; 0: all equal."""
    n_synthetic: int
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """Values for JSON, with null for NaN."""
        return json_values(asdict(self))


@dataclass(frozen=True)
class Seen:
    """What is known of all windows of the training clips, which a generator may have memorised."""

    features: TrainingFeatures
    copies: Callable[[ClipSet], tuple[Copies, Nearest]]
    """Samples -> the share of copies, and the nearest training windows; `videogan.protocols.copies.copies`."""


@dataclass(frozen=True)
class Neighbours:
    """Synthetic clips and their nearest training clips, for display: uint8 clips (T, H, W, 3)."""

    synthetic: Tensor
    """(n, T, H, W, 3): those nearest to a training window in pixels, nearest first."""
    by_features: Tensor
    """(n, 3, T, H, W, 3)"""
    by_pixels: Tensor
    """(n, 3, T, H, W, 3)"""


def blind_spots(
    protocol: ClassifierProtocol,
    network: VideoClassifier,
    train: RealSet,
    scored: RealSet,
    synthesise: SyntheticSet,
    seen: Seen,
    seed: int = 0,
) -> tuple[BlindSpots, Neighbours]:
    """Measure the blind spots on one synthetic clip for each real scored clip, with the real-trained `network`.

    Of more than `MOST_CLIPS` scored clips, evenly spaced ones are compared; `seen` has all windows of `train`.
    """
    refuse_other_lengths(protocol, train, scored)
    test = _in_memory(scored)
    synthetic = all_windows(like_real(synthesise, test)("test", test.labels, seed))
    sets = {"synthetic": synthetic, "real": test.frames}
    by_set = {name: features(network, frames, protocol.recipe, "penultimate") for name, frames in sets.items()}
    mirrored = {name: features(network, x.flip(3), protocol.recipe, "penultimate") for name, x in sets.items()}
    near = {name: nearest_by_features(by_set[name], mirrored[name], seen.features) for name in sets}
    copied, near_in_pixels = seen.copies(LabelledClips(synthetic, test.labels, test.n_classes))
    health = motion_health(synthetic, test.frames)
    speed = {name: flow_speeds(evenly_spaced(sets[name], N_FLOWS)) for name in ("synthetic", "real")}
    errors = {name: frame_errors(sets[name]) for name in ("synthetic", "real")}
    threshold = repeat_threshold(errors["real"])
    diversity = class_diversity(by_set["synthetic"], test.labels, by_set["real"], test.labels, test.n_classes)

    def both(measure: Callable[[Tensor], float]) -> Pair:
        return Pair(measure(synthetic), measure(test.frames))

    def recognised(frames: Tensor) -> float:
        has_classes = network.classify.out_features == test.n_classes > 1
        return accuracy(predict(network, frames, protocol.recipe), test.labels) if has_classes else math.nan

    result = BlindSpots(
        memorisation_features=memorisation_ratio(*(near[name].distances for name in ("synthetic", "real"))),
        memorisation_pixels=copied.ratio,
        copies=copied.share,
        motion=both(typical_motion),
        flow=Pair(*(magnitudes.quantile(0.5).item() for magnitudes in speed.values())),
        flow_ratio=flow_ratio(speed["synthetic"], speed["real"]),
        freezing_rate=Pair(health.freezing, health.freezing_real),
        looping_rate=Pair(health.looping, health.looping_real),
        repeats=Pair(*(frame_repeats(of_set, threshold).repeats for of_set in errors.values())),
        t_psnr=Pair(*(t_psnr(of_set) for of_set in errors.values())),
        t_dssim=both(lambda frames: t_dssim(evenly_spaced(frames, N_DSSIM))),
        res=both(recognised),
        res_of_shuffled_frames=both(lambda frames: recognised(shuffle_frames(frames, seed))),
        class_diversity=diversity.tolist(),
        n_synthetic=len(synthetic),
        warnings=[],
    )
    result.warnings.extend(_warnings(result))
    shown = near_in_pixels.distances[:, 0].argsort(stable=True)[:N_PICTURED]
    pictured = (found.rows(shown).frames(train) for found in (near["synthetic"], near_in_pixels))
    return result, Neighbours(synthetic[shown], *pictured)


def _in_memory(clips: RealSet) -> LabelledClips:
    """The centre windows of at most `MOST_CLIPS` evenly spaced clips."""
    rows = evenly_spaced(torch.arange(len(clips)), MOST_CLIPS)
    chosen = Subset(clips.spaced(1), rows)
    return LabelledClips(all_windows(chosen), chosen.labels, chosen.n_classes, chosen.groups)


def _warnings(found: BlindSpots) -> list[str]:
    warnings = []
    if found.copies > FLAGGED_ABOVE:
        warnings.append(f"memorisation: {100 * found.copies:.0f} % of the samples copy a window of a training clip.")
    for name, ratio in (("features", found.memorisation_features), ("pixels", found.memorisation_pixels)):
        if ratio < 0.5:
            warnings.append(
                f"memorisation: by {name}, samples are {ratio:.2f} times as far from training clips as test clips are."
            )
    if found.flow_ratio < SLOW or found.flow_ratio > 2:
        warnings.append(f"motion: the samples move {found.flow_ratio:.2f} times as fast as real clips (optical flow).")
    if found.freezing_rate.synthetic > found.freezing_rate.real + EXCESS:
        warnings.append(f"{100 * found.freezing_rate.synthetic:.0f} % of the samples hardly move.")
    if found.looping_rate.synthetic > found.looping_rate.real + EXCESS:
        warnings.append(f"{100 * found.looping_rate.synthetic:.0f} % of the samples loop.")
    if found.repeats.synthetic > found.repeats.real + EXCESS:
        slow = "; the samples move slowly, which looks alike" if found.flow_ratio < SLOW else ""
        warnings.append(f"{100 * found.repeats.synthetic:.0f} % of the samples' frames repeat an earlier frame{slow}.")
    collapsed = sum(value < COLLAPSED for value in found.class_diversity if not math.isnan(value))
    if collapsed:
        warnings.append(
            f"collapse within {collapsed} of {len(found.class_diversity)} classes: "
            "their samples differ less than a fifth as much as real clips do."
        )
    return warnings

"""The field's FVD: the Frechet distance of a trusted detector's features of real clips and of samples."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from videogan.config import Config
from videogan.data.clip_set import ClipSet, RealSet, Subset, in_batches
from videogan.metrics import VERSION
from videogan.metrics.frechet import frechet_distance, moments
from videogan.protocols.classifier import DataFacts, WeightsFile, digest_of
from videogan.protocols.detector import CALL, SIZE, detector_features, detector_of
from videogan.protocols.features import FeatureResult
from videogan.protocols.initial_weights import N_DIGITS
from videogan.protocols.s3 import different_clips, warnings_of_copies
from videogan.storage.atomic import write_atomically
from videogan.storage.cached_file import made_once
from videogan.storage.places import Place
from videogan.storage.step_files import read_checkpoint

RealPart = Literal["train", "test", "all"]
"""The real clips that samples are compared with: published values take those that the generator was trained on."""
OtherPart = Literal["train", "test", "all", "held_back"]
"""Also those that take the place of samples, to show what real clips score."""
OTHERS: dict[RealPart, OtherPart | None] = {"train": "test", "test": "held_back", "all": None}
"""Those beside each part; beside all clips there are none."""
CLIPS_AT_ONCE = 8
"""A clip of 16 frames is 10 MB as the detector reads it, and several times as much inside an I3D."""
OnProgress = Callable[[int, int], None]


class StandardFVD(Config):
    """The settings of the field's FVD (Unterthiner et al. 2018) by a detector that was trained elsewhere.

    As in StyleGAN-V: `n_samples` windows of `n_frames` neighbouring frames on each side, one of each clip while there
    are enough clips, then others of the same clips. Covariances are divided by n - 1, as by Unterthiner et al. and
    cd-fvd; StyleGAN-V's code divides by n. Lower is better. No classifier is trained, so classes play no part, but that
    a generator's labels are drawn as often as real clips have them.
    """

    detector: WeightsFile
    n_samples: int = Field(2048, ge=2)
    n_frames: int = Field(16, ge=1)
    real: RealPart = "train"

    @property
    def name(self) -> str:
        """Counts, real clips and the start of the detector's sha256: fvd_2048x16_train+abc123."""
        return f"fvd_{self.n_samples}x{self.n_frames}_{self.real}+{self.detector.sha256[:N_DIGITS]}"

    def digest(self, data: DataFacts) -> str:
        """sha256 (hex) of the protocol on one data set; its first 6 digits are displayed."""
        facts = {"protocol": f"standard_fvd_{VERSION}", "truncation": None}
        return digest_of(facts | self._facts(data, self.real))

    def digest_of_moments(self, data: DataFacts, part: OtherPart) -> str:
        """sha256 (hex) of all that `real_moments` of the clips `part` depend on: the name of their folder."""
        return digest_of({"moments": VERSION} | self._facts(data, part))

    def _facts(self, data: DataFacts, part: OtherPart) -> dict[str, Any]:
        settings = self.model_dump(mode="json", exclude={"detector", "real"})
        detector = {"detector": self.detector.sha256, "call": CALL, "size": SIZE}
        return settings | detector | data.facts() | {"real": part}


@dataclass(frozen=True)
class ClipMoments:
    """What the distance needs of one set of windows."""

    mean: Tensor
    """float64 (d,)."""
    covariance: Tensor
    """float64 (d, d)."""
    n_clips: int
    """The clips that the windows are taken from."""
    n_different: int
    """How many windows differ."""


@dataclass(frozen=True)
class RealMoments:
    """The two real sides: the clips that samples are compared with, and others in place of samples."""

    compared: ClipMoments
    others: ClipMoments | None
    """None if the data set has no other clips."""
    split: str


def spread(clips: RealSet, n: int, seed: int) -> Subset:
    """`n` random windows of real clips: one of each of n different clips, or equally many of each if they are fewer.

    A function of `seed`. Windows of one clip are drawn independently, so some may be the same.
    """
    order = torch.randperm(len(clips), generator=torch.Generator().manual_seed(seed))
    return Subset(clips.random(seed), order[torch.arange(n) % len(clips)])


def clip_moments(
    protocol: StandardFVD, windows: ClipSet, device: str, on_progress: OnProgress = lambda done, total: None
) -> ClipMoments:
    """The moments of the detector's features of draw 0 of `windows`. Runs the detector's code.

    Raises ConfigurationError as `detector_features` does, and ValueError for windows of another length.
    """
    if windows.shape[0] != protocol.n_frames:
        raise ValueError(f"{protocol.name} needs clips of {protocol.n_frames} frames, got {windows.shape[0]}.")
    detector, path = detector_of(protocol.detector, device), protocol.detector.path
    found: list[Tensor] = []
    different: set[bytes] = set()
    done = 0
    for frames in windows.windows(in_batches(len(windows), CLIPS_AT_ONCE)):
        found.append(detector_features(detector, frames, path, device))
        different |= different_clips(frames)
        on_progress(done := done + len(frames), len(windows))
    n_clips = len(windows.rows.unique()) if isinstance(windows, Subset) else len(windows)
    return ClipMoments(*moments(torch.cat(found)), n_clips, len(different))


def cached_moments(
    path: Place, protocol: StandardFVD, clips: RealSet, device: str, on_progress: OnProgress
) -> ClipMoments:
    """The moments of `spread` windows of real clips: from the file at `path`, or computed and written there."""

    def make() -> None:
        found = clip_moments(protocol, spread(clips, protocol.n_samples, seed=0), device, on_progress)
        write_atomically(path, lambda stream: torch.save(asdict(found), stream))

    return made_once(path, lambda kept: read_checkpoint(kept, lambda stored: ClipMoments(**stored)), make)


def standard_fvd(protocol: StandardFVD, digest: str, real: RealMoments, samples: ClipMoments) -> FeatureResult:
    """The distance of samples to real clips, and that of other real clips; it has no interval."""
    compared, others = real.compared, real.others
    found = frechet_distance(samples.mean, samples.covariance, compared.mean, compared.covariance)
    of_real = math.nan
    if others is not None:
        of_real = frechet_distance(others.mean, others.covariance, compared.mean, compared.covariance)
    return FeatureResult(
        protocol=protocol.name,
        digest=digest,
        split=real.split,
        metric="fvd",
        mean=found,
        low=math.nan,
        high=math.nan,
        spread=math.nan,
        values=[found],
        per_seed=[],
        real=of_real,
        real_low=math.nan,
        real_high=math.nan,
        outside=math.nan,
        n_samples=protocol.n_samples,
        n_repeats=1,
        n_real=compared.n_clips,
        n_features=len(compared.mean),
        warnings=_warnings(protocol, compared, samples),
    )


def _warnings(protocol: StandardFVD, real: ClipMoments, samples: ClipMoments) -> list[str]:
    n, d, warnings = protocol.n_samples, len(real.mean), []
    if n <= d:
        warnings.append(f"{n} clips for {d} features: their covariance is singular, the distance biased.")
    for what, side in (("real clips", real), ("videos", samples)):
        if side.n_clips < n:
            warnings.append(f"{n} windows of {side.n_clips} {what}: published values take one window of each of {n}.")
    for what, side in (("real windows", real), ("samples", samples)):
        warnings += warnings_of_copies(what, [side.n_different], n)
    return warnings

"""The options of standard_fvd as its protocol, and its refusals before anything starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch

from vgsearch.evaluation.measures import N_FRAMES, Measure
from videogan.config import ConfigurationError, suggestion
from videogan.data.clips import DataConfig
from videogan.data.manifest import SPLITS, Manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.data.windows import select_clips
from videogan.protocols.classifier import weights_file
from videogan.protocols.detector import detector_features, detector_of
from videogan.protocols.standard_fvd import RealPart, StandardFVD

STANDARD_FVD = "standard_fvd"
N_CLIPS = 2048
"""Windows on each side, as in StyleGAN-V."""


@dataclass(frozen=True)
class FVDOptions:
    """The options of `vgsearch evaluate` for standard_fvd."""

    detector: Path | None = None
    n_clips: int = N_CLIPS
    n_frames: int = N_FRAMES
    real: str = "train"

    @property
    def protocol(self) -> StandardFVD:
        """Raises ConfigurationError without a detector, for one that cannot be read, and for unknown real clips."""
        if self.detector is None:
            raise ConfigurationError(
                f"{STANDARD_FVD} needs the field's detector: --trust-torchscript FILE, such as StyleGAN-V's "
                "i3d_torchscript.pt. Such a file can run any code as you."
            )
        if self.real not in get_args(RealPart):
            raise ConfigurationError(
                f"--fvd-real '{self.real}' is unknown{suggestion(self.real, list(get_args(RealPart)))}"
            )
        file = weights_file(self.detector, "this detector")
        return StandardFVD.model_validate(
            {"detector": file, "n_samples": self.n_clips, "n_frames": self.n_frames, "real": self.real}
        )


def refuse_without_effect(options: FVDOptions, measures: Sequence[Measure]) -> None:
    """Raise ConfigurationError for options of standard_fvd if it is not measured, and for others' lengths if it is."""
    measured = [isinstance(measure, StandardFVD) for measure in measures]
    if options != FVDOptions() and not any(measured):
        raise ConfigurationError(
            f"--trust-torchscript and --fvd-... are for {STANDARD_FVD}; add it to --metrics, or leave them out."
        )
    if options.n_frames != N_FRAMES and not all(measured):
        raise ConfigurationError(
            f"--fvd-frames {options.n_frames}: the other metrics take {N_FRAMES} frames; evaluate {STANDARD_FVD} alone."
        )


def note_on_detector(protocol: StandardFVD, manifest: Manifest, preprocessing: str, data: DataConfig) -> str:
    """Call the detector on one clip, count the real clips, and return a note on the file.

    Raises ConfigurationError for a file that cannot be called, DataError without real clips of that many frames.
    """
    named, parts = preprocessing_named(preprocessing), SPLITS if protocol.real == "all" else (protocol.real,)
    for part in parts:
        if len(manifest.split(part)):
            select_clips(manifest, part, named, protocol.n_frames, data.short_clips, every_nth=data.every_nth)
    black = torch.zeros(1, protocol.n_frames, named.size, named.size, 3, dtype=torch.uint8)
    file = protocol.detector
    detector_features(detector_of(file, "cpu"), black, file.path, "cpu")
    return f"the code in {file.path} (sha256 {file.sha256[:6]}...) is run, as --trust-torchscript allows"

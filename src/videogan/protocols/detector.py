"""The detector of the field's FVD: an I3D as a TorchScript file, and the clips as it reads them."""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from videogan.config import ConfigurationError
from videogan.metrics.features import require_features
from videogan.protocols.classifier import WeightsFile

SIZE = 224
CALL = "detector(x, rescale=True, resize=True, return_features=True)"
"""How StyleGAN-V, and most after it, call their file: clips of 0 to 255 that the detector itself scales and resizes."""
Detector = Any
"""A torch.jit module; Any, because torch gives its calls no types."""


def detector_input(frames: Tensor) -> Tensor:
    """Clips uint8 (B, T, H, W, 3) as a detector reads them: float32 (B, 3, T, 224, 224) from 0 to 255.

    Each frame is resized to 224 x 224 whatever its shape, bilinear, without antialiasing and without rounding, pixel
    centres at half integers: a detector finds nothing left to resize, so that files which resize in other ways, or not
    at all, see the same clips. Scaling to [-1, 1] (x / 127.5 - 1) is left to the detector. Raises ValueError for
    anything else.
    """
    if frames.dtype != torch.uint8 or frames.dim() != 5 or frames.shape[-1] != 3:
        raise ValueError(f"detector_input needs uint8 (B, T, H, W, 3), got {frames.dtype} {tuple(frames.shape)}.")
    images = frames.flatten(0, 1).movedim(-1, 1).to(torch.float32)
    resized = F.interpolate(images, (SIZE, SIZE), mode="bilinear", align_corners=False)
    return resized.unflatten(0, frames.shape[:2]).movedim(1, 2).contiguous()


def detector_of(file: WeightsFile, device: str) -> Detector:
    """The detector in a TorchScript file, in eval mode. Loading and calling it can run any code that the file holds.

    Raises ConfigurationError if the file is missing, has another sha256 than `file` says, or is no TorchScript.
    """
    try:
        content = Path(file.path).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{file.path}: cannot read this detector ({error.strerror}); check the path."
        ) from None
    if (found := hashlib.sha256(content).hexdigest()) != file.sha256:
        raise ConfigurationError(
            f"{file.path}: the detector must have sha256 {file.sha256[:6]}..., as the protocol says, got {found[:6]}...: "
            "the file has changed, or differs on this machine. Restore it, or evaluate again."
        )
    try:
        # The bytes whose sha256 was compared, and not whatever the path names a moment later.
        return torch.jit.load(io.BytesIO(content), map_location=device).eval()
    except RuntimeError as error:
        raise ConfigurationError(
            f"{file.path}: this is no TorchScript file ({_last_line(error)}); give the field's i3d_torchscript.pt, or "
            f"what torch.jit.save wrote of a module that is called as {CALL}."
        ) from None


@torch.no_grad()
def detector_features(detector: Detector, frames: Tensor, path: str, device: str) -> Tensor:
    """The detector's features (B, d) on the CPU, float32, of clips uint8 (B, T, H, W, 3).

    Raises ConfigurationError if it cannot be called in this way, refuses clips of T frames, or returns other shapes.
    """
    where = f"{path}: {CALL} of clips of {frames.shape[1]} frames"
    try:
        found = detector(detector_input(frames.to(device)), rescale=True, resize=True, return_features=True)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # what TorchScript raises is whatever its code raised
        raise ConfigurationError(f"{where} failed: {_last_line(error)}. Give another --fvd-frames or file.") from error
    if not isinstance(found, Tensor) or found.dim() != 2 or len(found) != len(frames):
        got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ConfigurationError(f"{where} must return features ({len(frames)}, d), got {got}. Give another file.")
    try:
        return require_features(found.float().cpu(), "features")
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def _last_line(error: Exception) -> str:
    """The end of a TorchScript error, whose first lines are a stack trace."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__

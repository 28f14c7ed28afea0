"""What a Python function that is searched gets beside its hyperparameters: where to save, and how to show samples."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from vgsearch.program.step_folders import step_folders

FPS = 25


@dataclass(frozen=True)
class Reporter:
    """Shows the samples of a running trial to the search; the last ones are scored when the function returns."""

    out: Path
    """A folder of the trial's own."""
    checkpoint_folder: Path
    """The same folder for each start of the trial: what an interrupted attempt saved is there."""
    data: Path
    """The training videos as `<class>/<file>`; the clips that judge the samples are not among them."""
    seed: int
    n_steps: int
    n_frames: int
    """Frames of a clip that is judged; a longer sample is judged by windows of it."""
    resolution: int
    """Height and width in pixels at which clips are judged; samples may be larger."""
    n_gpus: float

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of their numbers as labels."""
        return sorted(folder.name for folder in self.data.iterdir())

    def look(self, videos: Any, labels: Sequence[Any], step: int | None = None) -> None:
        """Show samples: the search looks at them, and may end the trial.

        videos: uint8 (n, T, H, W, 3), or floats (n, T, 3, H, W) in [-1, 1]; an array or a tensor on any device.
        labels: n class names, or numbers of `classes`. step: by default one more than the last. Raises ValueError for
        other shapes, labels or steps. Any: arrays and tensors of several libraries.
        """
        frames, names = _as_frames(videos), [self._class_of(label) for label in labels]
        if len(frames) != len(names):
            raise ValueError(f"look: each video needs a label, got {len(frames)} videos and {len(names)} labels.")
        samples = self.out / "samples"
        last = max(step_folders(samples), default=0)
        step = last + 1 if step is None else int(step)
        if step < 1:
            raise ValueError(f"look: step must be at least 1, got {step}.")
        hidden, folder = samples / f".step_{step}", samples / f"step_{step}"
        shutil.rmtree(hidden, ignore_errors=True)
        for number, (clip, name) in enumerate(zip(frames, names, strict=True)):
            _write_lossless(hidden / name / f"{number:05d}.mkv", clip)
        shutil.rmtree(folder, ignore_errors=True)  # an earlier attempt's
        os.rename(hidden, folder)

    def _class_of(self, label: Any) -> str:
        classes = self.classes
        if isinstance(label, str):
            if label not in classes:
                raise ValueError(f"look: '{label}' is not a class; it must be one of {', '.join(classes)}.")
            return label
        number = int(label)
        if not 0 <= number < len(classes):
            raise ValueError(f"look: labels must be from 0 to {len(classes) - 1}, got {number}.")
        return classes[number]


def _as_frames(videos: Any) -> np.ndarray:
    """uint8 (n, T, H, W, 3)."""
    array = np.asarray(videos.detach().cpu() if hasattr(videos, "detach") else videos)
    if array.dtype == np.uint8 and array.ndim == 5 and array.shape[-1] == 3:
        return array
    if array.dtype.kind == "f" and array.ndim == 5 and array.shape[2] == 3:
        if not np.isfinite(array).all():
            raise ValueError("look: the videos hold values that are not finite.")
        return np.moveaxis(((array.astype(np.float32).clip(-1, 1) + 1) * 127.5).round().astype(np.uint8), 2, -1)
    raise ValueError(
        "look: videos must be uint8 (n, T, H, W, 3) or floats (n, T, 3, H, W) in [-1, 1], got "
        f"{array.dtype} {array.shape}."
    )


def _write_lossless(path: Path, frames: np.ndarray) -> None:
    """FFV1 in RGB: what is judged are the pixels that the function made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(FPS))
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "bgr0"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())

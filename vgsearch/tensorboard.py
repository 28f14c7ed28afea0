"""A trial's TensorBoard: curves that go on after a resume, hyperparameters with the final scores, samples that move."""

import io
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import hparams as hparams_summary
from torch import Tensor

from videogan.pictures import write_gif


class TrialBoard:
    """Writes one trial's event files under `folder`.

    `first_step` hides what an interrupted attempt wrote from there on; None hides nothing.
    """

    def __init__(self, folder: Path, first_step: int | None) -> None:
        self._writer = SummaryWriter(str(folder), purge_step=first_step, flush_secs=5)

    def scalars(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def video(self, tag: str, frames: Tensor, step: int) -> None:
        """A GIF of `frames` uint8 (T, H, W, 3); tensorboardX's own add_video writes nothing without moviepy."""
        encoded = io.BytesIO()
        write_gif(encoded, frames)
        image = Summary.Image(
            height=frames.shape[1], width=frames.shape[2], colorspace=3, encoded_image_string=encoded.getvalue()
        )
        self._writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)

    def hparams(self, hyperparameters: dict[str, Any], metrics: dict[str, float]) -> None:
        """What TensorBoard's HParams tab compares; plain numbers and strings."""
        plain = {k: v if isinstance(v, int | float | str) else str(v) for k, v in hyperparameters.items()}
        for summary in hparams_summary(plain, metrics):
            self._writer.file_writer.add_summary(summary)
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, 0)

    def close(self) -> None:
        self._writer.close()

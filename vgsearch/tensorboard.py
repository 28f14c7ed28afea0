"""A trial's TensorBoard: curves that go on after a resume, hyperparameters with the final scores, samples that move."""

import io
import time
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import hparams as hparams_summary
from tensorboardX.summary import scalar as scalar_summary
from torch import Tensor

from videogan.pictures import write_gif

SECONDS_BETWEEN_FLUSHES = 5.0


class TrialBoard:
    """Writes one trial's event files under `folder`: in this thread, for tensorboardX's own SummaryWriter keeps events
    back in a queue that its `flush` doesn't empty, and a killed process would lose them.

    `first_step` hides what an interrupted attempt wrote from there on; None hides nothing.
    """

    def __init__(self, folder: Path, first_step: int | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads files in the order of their names: by their number, whatever the clock says.
        n_before = sum(1 for _ in folder.glob("*.tfevents.*"))
        self._writer = EventsWriter(str(folder / f"{n_before:04d}.events"))
        self._flushed = time.monotonic()
        if first_step is not None:
            self._add(Event(session_log=SessionLog(status=SessionLog.START)), first_step)
        self.flush()

    def scalars(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._add(Event(summary=scalar_summary(name, value)), step)

    def video(self, tag: str, frames: Tensor, step: int) -> None:
        """A GIF of `frames` uint8 (T, H, W, 3); tensorboardX's own add_video writes nothing without moviepy."""
        encoded = io.BytesIO()
        write_gif(encoded, frames)
        image = Summary.Image(
            height=frames.shape[1], width=frames.shape[2], colorspace=3, encoded_image_string=encoded.getvalue()
        )
        self._add(Event(summary=Summary(value=[Summary.Value(tag=tag, image=image)])), step)

    def hparams(self, hyperparameters: dict[str, Any], metrics: dict[str, float]) -> None:
        """What TensorBoard's HParams tab compares; plain numbers and strings."""
        plain = {k: v if isinstance(v, int | float | str) else str(v) for k, v in hyperparameters.items()}
        for summary in hparams_summary(plain, metrics):
            self._add(Event(summary=summary), 0)
        self.scalars(metrics, 0)

    def flush(self) -> None:
        """Writes what waits in memory, durably."""
        self._writer.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        self._writer.close()

    def _add(self, event: Event, step: int) -> None:
        event.wall_time, event.step = time.time(), step
        self._writer.write_event(event)
        if time.monotonic() - self._flushed > SECONDS_BETWEEN_FLUSHES:
            self.flush()

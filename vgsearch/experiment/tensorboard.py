"""A trial's TensorBoard: curves that continue after a resume, hyperparameters with final scores, GIFs of samples."""

import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.api_pb2 import DataType, Experiment, HParamInfo, MetricInfo, MetricName
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.summary import hparams as hparams_summary
from tensorboardX.summary import scalar as scalar_summary
from torch import Tensor

from vgsearch.experiment.objective import LABELS
from videogan.printable import printable
from videogan.sampling.pictures import GRID_GAP, MARGIN, text_width, write_gif, written
from videogan.storage.atomic import named

SECONDS_BETWEEN_FLUSHES = 5.0
COMPARED, NO_SCORE = "hparams/", -1.0
"""Prefix of the scores in the HParams tab, and what a trial without one has there."""
N_SHOWN, DIFFERS = 5, bytes([7 << 3, 1])
"""TensorBoard shows the first columns by default: by whether their values differ, its field 7, which tensorboardX's
message lacks, and then by name."""
SPEED = ("seconds_per_step", "seconds_waiting", "seconds_training", "n_clips_seen")


class TrialBoard:
    """Writes one trial's event files under `folder`, in this thread: tensorboardX's own SummaryWriter holds events in a
    queue that its `flush` does not empty, and a killed process would lose them.

    `first_step`: TensorBoard hides what an interrupted attempt wrote from this step on; None hides nothing.
    """

    def __init__(self, folder: Path, first_step: int | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads files in the order of their names, so they are numbered.
        n_before = sum(1 for _ in folder.glob("*.tfevents.*"))
        self._writer, self._folder = EventsWriter(str(folder / f"{n_before:04d}.events")), folder
        self._flushed = time.monotonic()
        if first_step is not None:
            self._add(Event(session_log=SessionLog(status=SessionLog.START)), first_step)
        self.flush()

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._add(Event(summary=scalar_summary(grouped(name), value)), step)

    def compare(self, scores: Mapping[str, float], names: Sequence[str], step: int) -> None:
        """Write the scores of an ended trial that the HParams tab compares; one that it lacks is -1.

        TensorBoard draws no trial that lacks one, and no score can be -1. The charts of scores do not show these.
        """
        self.scalars({f"{COMPARED}{name}": scores.get(name, NO_SCORE) for name in names}, step)

    def video(self, tag: str, frames: Tensor, step: int) -> None:
        """Write a GIF of `frames` uint8 (T, H, W, 3); tensorboardX's own add_video needs moviepy."""
        encoded = io.BytesIO()
        write_gif(encoded, frames)
        image = Summary.Image(
            height=frames.shape[1], width=frames.shape[2], colorspace=3, encoded_image_string=encoded.getvalue()
        )
        self._add(Event(summary=Summary(value=[Summary.Value(tag=tag, image=image)])), step)

    def add_hyperparameters(self, hyperparameters: dict[str, Any]) -> None:
        """Add the trial's row to TensorBoard's HParams tab, as numbers and strings. Any: values of settings."""
        plain = {k: v if isinstance(v, int | float) else printable(str(v)) for k, v in hyperparameters.items()}
        _, start, _ = hparams_summary(plain, {})
        self._add(Event(summary=start), 0)

    def mark_success(self) -> None:
        """Mark the row as a success. Other ends get no mark: TensorBoard would keep it even after a retry."""
        *_, end = hparams_summary({}, {})
        self._add(Event(summary=end), 0)

    def flush(self) -> None:
        """Write the events in memory to disk."""
        with named(self._folder):
            self._writer.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        with named(self._folder):
            self._writer.close()

    def _add(self, event: Event, step: int) -> None:
        event.wall_time, event.step = time.time(), step
        with named(self._folder):
            self._writer.write_event(event)
        if time.monotonic() - self._flushed > SECONDS_BETWEEN_FLUSHES:
            self.flush()


def grouped(name: str) -> str:
    """The tag of a value of metrics.jsonl: loss/d_image, speed/seconds_per_step; others stay as they are."""
    group = "speed/" if name in SPEED else "loss/" if name.startswith(("d_", "g_")) else ""
    return f"{group}{name}"


def with_names(grid: Tensor, names: Sequence[str]) -> Tensor:
    """uint8 (T, H', W', 3): a grid of clips with the names of its rows on the left, if they are known."""
    if not names:
        return grid
    left = max(map(text_width, names)) + MARGIN
    height = (grid.shape[1] + GRID_GAP) // len(names)
    picture = grid.new_zeros(len(grid), grid.shape[1], left + grid.shape[2], 3)
    picture[:, :, left:] = grid
    for row, name in enumerate(names):
        picture[:, row * height : (row + 1) * height - GRID_GAP, :left] = written(name, height - GRID_GAP, left)
    return picture


def write_columns(folder: Path, hyperparameters: Mapping[str, Sequence[Any]], scores: Sequence[str]) -> None:
    """Write the columns of the HParams tab in a separate run: TensorBoard reads only one list of columns.

    A trial's own list would lack values that only other trials have. `hyperparameters`: some values of each, which show
    its type; the first five are shown until the user chooses others. `scores`: names as in the ledger; the newest look
    is a column too.
    """
    metrics = {f"{COMPARED}{name}": LABELS[name] for name in scores} | {"look": "look"}
    infos = [
        HParamInfo(name=path, display_name=path.rpartition(".")[2], type=_type_of(values))
        for path, values in hyperparameters.items()
    ]
    for info in infos[:N_SHOWN]:
        info.MergeFromString(DIFFERS)
    columns = Experiment(
        hparam_infos=infos,
        metric_infos=[MetricInfo(name=MetricName(tag=tag), display_name=name) for tag, name in metrics.items()],
    )
    content = HParamsPluginData(experiment=columns).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=content)
    value = Summary.Value(tag="_hparams_/experiment", metadata=SummaryMetadata(plugin_data=plugin))
    folder.mkdir(parents=True, exist_ok=True)
    with named(folder):
        writer = EventsWriter(str(folder / "columns"))
        writer.write_event(Event(summary=Summary(value=[value]), wall_time=time.time()))
        writer.close()


def _type_of(values: Sequence[Any]) -> DataType:
    """The type of what `add_hyperparameters` writes of such values."""
    if all(isinstance(value, bool) for value in values):
        return DataType.DATA_TYPE_BOOL
    numbers = all(isinstance(value, int | float) for value in values)
    return DataType.DATA_TYPE_FLOAT64 if numbers else DataType.DATA_TYPE_STRING

"""Scores of one or several subjects, each in its own Ray task, with progress bars."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
import torch
from rich.console import Console

from vgsearch.evaluation.measures import Measure, Opponent
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.judging.gam import gam_of
from vgsearch.runtime.judging.judge import Judge
from vgsearch.runtime.judging.subjects import CheckpointSubject, Subject
from vgsearch.runtime.waits.beats import beating
from vgsearch.runtime.waits.failed_task import why_failed
from vgsearch.runtime.waits.waiting import waiting
from vgsearch.runtime.waits.watch import state_of_tasks
from vgsearch.terminal.words import progress_bar
from videogan.data.clips import DataConfig
from videogan.protocols.classifier import ClassifierProtocol
from videogan.protocols.own_metric import OwnMetric
from videogan.protocols.standard_fvd import StandardFVD

SECONDS_BETWEEN_UPDATES = 0.3
SECONDS_OF_THE_BOARD = 5.0


@dataclass(frozen=True)
class Measurement:
    """One measurement of one subject."""

    subject: Subject
    measure: Measure

    @property
    def name(self) -> str:
        return "blind_spots" if isinstance(self.measure, ClassifierProtocol) else self.measure.name


class ProgressBoard:
    """The actor to which tasks on any node report their progress."""

    def __init__(self) -> None:
        self._progress: dict[int, tuple[int, int | None]] = {}

    def update(self, number: int, done: int, total: int | None) -> None:
        self._progress[number] = done, total

    def progress(self) -> dict[int, tuple[int, int | None]]:
        """(done, total) of each task that has started, by its number."""
        return self._progress


@dataclass(frozen=True)
class Failure:
    """A failed measurement: the reason in one sentence, and the exception."""

    reason: str
    error: Exception


def measured(
    measurements: Sequence[Measurement], inputs: Inputs, data: DataConfig, n_frames: int, console: Console
) -> Iterator[tuple[int, Any]]:
    """(number, result or Failure) of each measurement as it ends; in parallel as far as CPUs and GPUs allow.

    One after the other if clips are streamed: each measurement holds a CPU, and its stream needs another. Any: the
    results of `_measured`.
    """
    board: Any = ray.remote(num_cpus=0)(ProgressBoard).remote()  # Any: Ray adds `remote` to its methods
    measure = ray.remote(num_cpus=1, num_gpus=inputs.gpus_per_worker)(_measured)
    queue = list(enumerate(measurements))
    running: dict[Any, int] = {}
    at_once = len(queue) if inputs.cache else 1
    ends = "it ends when all are measured; Ctrl-C stops and keeps those"
    with progress_bar(console) as bars, waiting("measurements", ends, state_of_tasks("")):
        rows = [bars.add_task(f"{m.name}  {m.subject.name}", total=None, start=False) for m in measurements]
        while queue or running:
            while queue and len(running) < at_once:
                number, measurement = queue.pop(0)
                running[measure.remote(number, measurement, inputs, data, n_frames, board)] = number
            ready, _ = ray.wait(list(running), timeout=SECONDS_BETWEEN_UPDATES)
            for number, (done, total) in _progress(board).items():
                bars.start_task(rows[number])
                bars.update(rows[number], completed=done, total=total)
            for reference in ready:
                number = running.pop(reference)
                n_steps = bars.tasks[number].total or 1
                bars.update(rows[number], completed=n_steps, total=n_steps)
                yield number, _result(reference, measurements[number])


def _progress(board: Any) -> dict[int, tuple[int, int | None]]:
    """What the board knows; nothing if it does not answer at once, since the bars can wait."""
    with suppress(ray.exceptions.GetTimeoutError, ray.exceptions.RayActorError):
        known: dict[int, tuple[int, int | None]] = ray.get(board.progress.remote(), timeout=SECONDS_OF_THE_BOARD)
        return known
    return {}


def _result(reference: Any, measurement: Measurement) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        why = why_failed(error)
        return Failure(f"{measurement.name} of {measurement.subject.name} could not be measured: {why}", error)


def _measured(
    number: int, measurement: Measurement, inputs: Inputs, data: DataConfig, n_frames: int, board: Any
) -> Any:
    torch.set_num_threads(1)
    board.update.remote(number, 0, None)  # it has started
    with beating(f"{measurement.name} of {measurement.subject.name}"):
        return _score(number, measurement, inputs, data, n_frames, board)


def _score(number: int, measurement: Measurement, inputs: Inputs, data: DataConfig, n_frames: int, board: Any) -> Any:
    judge, subject, measure = Judge(inputs, data, n_frames), measurement.subject, measurement.measure
    if isinstance(measure, Opponent):
        assert isinstance(subject, CheckpointSubject)  # gam refuses others, without a discriminator
        return gam_of(subject.path, measure.path, judge, inputs.device, measure.n_fakes)
    synthetic = subject.opened(judge, inputs.device)
    if isinstance(measure, ClassifierProtocol):
        return judge.blind_spots(measure, synthetic)

    def on_progress(done: int, total: int) -> None:
        board.update.remote(number, done, total)

    if isinstance(measure, StandardFVD):
        return judge.standard_fvd(measure, synthetic, on_progress)
    if isinstance(measure, OwnMetric):
        return judge.own_scores(measure, synthetic, on_progress)
    return judge.score(measure, synthetic, on_progress)

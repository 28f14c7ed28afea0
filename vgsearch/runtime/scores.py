"""Scores of one or several subjects, each in a task of its own on Ray, with progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
from rich.console import Console

from vgsearch.evaluation_plan import Measure, Opponent
from vgsearch.runtime.gam import gam_of
from vgsearch.runtime.inputs import Inputs
from vgsearch.runtime.judge import Judge
from vgsearch.runtime.subjects import CheckpointSubject, Subject
from vgsearch.terminal import progress_bar
from videogan.config import ConfigurationError
from videogan.data.clips import DataConfig
from videogan.protocols.classifier import ClassifierProtocol

SECONDS_BETWEEN_UPDATES = 0.3


@dataclass(frozen=True)
class Measurement:
    """One measure of one subject, before it is taken."""

    subject: Subject
    measure: Measure

    @property
    def name(self) -> str:
        return "blind_spots" if isinstance(self.measure, ClassifierProtocol) else self.measure.name


class ProgressBoard:
    """Where tasks on any node tell how far they are."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[int, int]] = {}

    def tell(self, number: int, done: int, total: int) -> None:
        self._told[number] = done, total

    def told(self) -> dict[int, tuple[int, int]]:
        return self._told


def measured(
    measurements: Sequence[Measurement], inputs: Inputs, data: DataConfig, n_frames: int, console: Console
) -> list[Any]:
    """The result of each measurement, in order; as many at once as the cluster has CPUs or GPUs for.

    Raises ConfigurationError, with its cause, for one that fails.
    """
    board = ray.remote(num_cpus=0)(ProgressBoard).remote()
    measure = ray.remote(num_cpus=1, num_gpus=inputs.gpus_per_worker)(_measured)
    running = {
        measure.remote(number, measurement, inputs, data, n_frames, board): number
        for number, measurement in enumerate(measurements)
    }
    results: dict[int, Any] = {}
    with progress_bar(console) as bars:
        rows = [bars.add_task(f"{m.name}  {m.subject.name}", total=None) for m in measurements]
        while running:
            ready, _ = ray.wait(list(running), timeout=SECONDS_BETWEEN_UPDATES)
            for number, (done, total) in ray.get(board.told.remote()).items():
                bars.update(rows[number], completed=done, total=total)
            for reference in ready:
                number = running.pop(reference)
                results[number] = _result(reference, measurements[number])
                total = bars.tasks[number].total or 1
                bars.update(rows[number], completed=total, total=total)
    return [results[number] for number in range(len(measurements))]


def _result(reference: Any, measurement: Measurement) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise ConfigurationError(
            f"{measurement.name} of {measurement.subject.name} can't be measured: {error.cause}"
        ) from error


def _measured(
    number: int, measurement: Measurement, inputs: Inputs, data: DataConfig, n_frames: int, board: Any
) -> Any:
    import torch

    torch.set_num_threads(1)
    judge, subject, measure = Judge(inputs, data, n_frames), measurement.subject, measurement.measure
    if isinstance(measure, Opponent):
        assert isinstance(subject, CheckpointSubject)  # others have no discriminator; refused before
        return gam_of(subject.path, measure.path, judge, inputs.device)
    synthetic = subject.opened(judge, inputs.device)
    if isinstance(measure, ClassifierProtocol):
        return judge.blind_spots(measure, synthetic)

    def on_progress(done: int, total: int) -> None:
        board.tell.remote(number, done, total)

    return judge.score(measure, synthetic, on_progress)

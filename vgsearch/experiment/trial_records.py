"""The records that a running trial writes: metrics.jsonl, TensorBoard, log.txt; a resumed attempt appends to them."""

import errno
import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vgsearch.experiment.metrics_lines import read_lines, what_is_damaged, whole_lines
from vgsearch.experiment.moved import refuse_moved
from vgsearch.experiment.paths import TrialFolder
from vgsearch.experiment.tensorboard import TrialBoard
from videogan.storage.atomic import named, sync_folder, write_atomically
from videogan.storage.set_aside import set_aside

SCORE = "score/"
"""Prefix of the names of final scores."""
LOGGER = logging.getLogger(__name__)


class TrialRecords:
    """The trial's records from `step` on; lines that an interrupted attempt wrote after that step are deleted."""

    def __init__(self, folder: TrialFolder, step: int) -> None:
        self._folder, self._step = folder, step
        self.damaged: list[str] = []
        """What was wrong with the records of earlier attempts; also in the log."""

    def __enter__(self) -> Self:
        self._folder.folder.mkdir(parents=True, exist_ok=True)
        with warnings_kept() as damaged:  # a worker shows none, and the log opens only below
            _drop_lines_after(self._folder.metrics, self._step)
        self._metrics = open(self._folder.metrics, "a", buffering=1, encoding="utf-8")
        sync_folder(self._folder.folder)
        self.board = TrialBoard(self._folder.tensorboard, self._step + 1)
        self._handler = logging.FileHandler(self._folder.log, encoding="utf-8")
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.getLogger().addHandler(self._handler)
        logging.getLogger("vgsearch").setLevel(logging.INFO)
        logging.captureWarnings(True)
        self.damaged = [str(warning.message) for warning in damaged]
        for message in self.damaged:
            LOGGER.warning(message)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with named(self._folder.metrics):
            self._metrics.close()
        self.board.close()
        logging.getLogger().removeHandler(self._handler)
        logging.captureWarnings(False)
        self._handler.close()

    def lines(self) -> list[dict[str, Any]]:
        """The lines of this attempt and those before it."""
        return whole_lines(self._folder.metrics)

    def write_scores(self, step: int, scores: dict[str, float], measures: dict[str, float] | None = None) -> None:
        """Write the final scores, and `measures` by their full names, once.

        An attempt that died right after them is scored again, to the same values.
        """
        values = {f"{SCORE}{name}": value for name, value in scores.items()} | (measures or {})
        if any(values.keys() & line.keys() for line in self.lines()):
            return
        self.board.scalars(values, step)
        self.board.mark_success()
        # The line last: if it exists, so do the points on the board.
        self.board.flush()
        self._write_line({"step": step, **values})

    def refuse_moved(self) -> None:
        """Raise MovedExperiment if metrics.jsonl is no longer the file that this attempt opened."""
        refuse_moved(self._metrics, self._folder.metrics, self._folder.place)

    def flush(self) -> None:
        """Write everything to disk: before a checkpoint, from which a later attempt continues."""
        self.refuse_moved()
        self.board.flush()
        with named(self._folder.metrics):
            os.fsync(self._metrics.fileno())

    def write(self, step: int, values: dict[str, float]) -> None:
        """Write one line of metrics.jsonl, and a point on each TensorBoard curve; raises MovedExperiment."""
        self.refuse_moved()
        self._write_line({"step": step, **values})
        self.board.scalars(values, step)

    def _write_line(self, line: dict[str, float]) -> None:
        with named(self._folder.metrics):
            self._metrics.write(json.dumps(line) + "\n")


@contextmanager
def warnings_kept() -> Iterator[list[warnings.WarningMessage]]:
    """The warnings of the block, which are shown nowhere else: for a log that is not open yet."""
    with warnings.catch_warnings(record=True) as kept:
        warnings.simplefilter("always")
        yield kept


def set_wrong_kinds_aside(folder: TrialFolder) -> None:
    """Set aside a folder in the place of a file that the trial writes, and the other way round, with a warning.

    Also a link that leads to itself, in the place of such a file.
    """
    for path in (folder.metrics, folder.log):
        if path.is_dir():
            set_aside(path, "must be a file, but is a folder", "beginning a new one")
        elif _leads_to_itself(path):
            set_aside(path, "must be a file, but is a link to itself", "beginning a new one")
    for path in (folder.tensorboard, folder.checkpoints, folder.samples):
        if path.exists() and not path.is_dir():
            set_aside(path, "must be a folder, but is a file", "beginning a new one")


def _leads_to_itself(path: Path) -> bool:
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def _drop_lines_after(path: Path, step: int) -> None:
    """Keep only the complete lines up to `step`, so that no step appears twice; set a damaged file aside."""
    if not path.exists():
        return
    lines, damaged = read_lines(path)
    if damaged:
        set_aside(path, what_is_damaged(damaged), "going on with the other lines")
    kept = "".join(json.dumps(line) + "\n" for line in lines if line["step"] <= step)
    write_atomically(path, lambda stream: stream.write(kept.encode()))

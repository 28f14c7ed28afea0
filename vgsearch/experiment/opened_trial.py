"""A trial's files on this machine, also those of a trial on an object store: its checkpoint, its records to add to."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vgsearch.experiment.paths import ADDRESS, OPENED, Experiment, TrialFolder
from videogan.config import ConfigurationError
from videogan.storage.atomic import write_atomically
from videogan.storage.places import Place, RemotePath, place


@contextmanager
def opened_checkpoint(path: Place) -> Iterator[Path]:
    """A checkpoint file on this machine: itself, or in a working copy of its trial, which is uploaded on exit.

    Raises ConfigurationError if there is no checkpoint of a trial at an address, and for another program's.
    """
    where = place(path)
    _refuse_of_program(where)
    if not isinstance(where, RemotePath):
        yield where
        return
    trial_place = where.parent.parent
    trial = TrialFolder.at(trial_place, OPENED)
    if where.parent.name != trial.checkpoints.name or not where.is_file():
        raise ConfigurationError(
            f"{where} must be the checkpoint of a trial, .../trials/<trial>/checkpoints/<step>.pt; none was found."
        )
    experiment, copy = Experiment(trial.folder.parent.parent, trial_place.parent.parent), trial.checkpoints / where.name
    experiment.working_copy.pull(lambda name: name == experiment.sweep.name, delete=False)
    trial.working_copy.pull(
        lambda name: name == f"{trial.checkpoints.name}/{where.name}" or _is_record(trial, name), delete=False
    )
    write_atomically(trial.folder / ADDRESS, lambda stream: stream.write(str(trial_place).encode()))
    try:
        yield copy
        trial.working_copy.push(lambda name: name.startswith((f"{trial.evaluations.name}/", f"{trial.samples.name}/")))
    finally:
        copy.unlink()


def _refuse_of_program(checkpoint: Place) -> None:
    """Raise ConfigurationError for a checkpoint in a trial that runs another program, which alone can read it."""
    trial = checkpoint.absolute().parent.parent
    if (trial / TrialFolder(Path()).program_ended.name).is_file():
        raise ConfigurationError(
            f"{checkpoint} is of another program, which alone can read it; score the videos that it wrote: "
            f"vgsearch evaluate --videos {shlex.quote(f'{trial}/program/samples/step_N')} --data DATA."
        )


def _is_record(trial: TrialFolder, name: str) -> bool:
    return name == trial.metrics.name or name.startswith(f"{trial.tensorboard.name}/")


@contextmanager
def appended_records(trial: TrialFolder) -> Iterator[bool]:
    """The trial's metrics and curves, downloaded to add to them, and uploaded on exit.

    Yields whether they may be added to: not while the trial runs, since its next upload would replace the addition.
    """
    if not isinstance(trial.place, RemotePath):
        yield True
        return
    trial.working_copy.pull(lambda name: name == trial.status.name or _is_record(trial, name))
    yield trial.status.exists()  # written when a trial ends
    trial.working_copy.push(lambda name: _is_record(trial, name))

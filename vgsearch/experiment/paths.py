"""Every path and file name under runs/, in one place."""

import difflib
import errno
import re
import shlex
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO

from vgsearch.experiment.folder_lock import LOCK, locked_folder
from vgsearch.experiment.moved import refuse_moved
from vgsearch.experiment.names import checked_name
from vgsearch.object_store.lease import ExperimentInUse, Lease
from vgsearch.object_store.working_copy import WorkingCopy, copy_folder
from videogan.config import ConfigurationError
from videogan.storage.atomic import delete_parts, write_atomically
from videogan.storage.places import Place, RemotePath, StorageError, place

SAMPLES_PER_CLASS = 6
"""Codes in each row of a trial's samples/grid.gif, whose rows are classes."""
DRIVEN, VIEWED, OPENED = "driven", "viewed", "opened"
"""Kinds of working copies of an experiment on an object store: the driver's, a viewer's, a writer's to one trial."""
CLASSES = "classes"
"""Folder in a trial of a folder for each class, where each class has its own generator."""
ADDRESS = ".address"
"""File in a trial's working copy that holds the trial's address."""


@dataclass(frozen=True)
class StoredFolder:
    """A folder, and its address if it is the working copy of a folder on an object store."""

    folder: Path
    address: RemotePath | None = None

    @cached_property
    def working_copy(self) -> WorkingCopy:
        """The sync between the folder and its address; each trial of an experiment has its own."""
        return WorkingCopy(self.folder, self.address)

    @property
    def place(self) -> Place:
        """The address, or the folder if it has none."""
        return self.address or self.folder


@dataclass(frozen=True)
class TrialFolder(StoredFolder):
    """The files of one trial."""

    @classmethod
    def at(cls, where: str | Place, copy: str) -> "TrialFolder":
        """The trial at a path, or the working copy of kind `copy` of the trial at an address."""
        where = place(where)
        if not isinstance(where, RemotePath):
            return cls(where)
        # Below a folder with the experiment's name, as at its address.
        kind, experiment = where.parent.name, where.parent.parent
        return cls(copy_folder(copy, where).parent / experiment.name / kind / where.name, where)

    @classmethod
    def around(cls, checkpoint: Path) -> "TrialFolder":
        """The trial of a checkpoint file on this machine, in the trial's folder or its working copy."""
        folder = checkpoint.absolute().parent.parent
        written = folder / ADDRESS
        address = place(written.read_text("utf-8")) if written.is_file() else None
        # Only our own working copy is believed: a stranger's folder could name an address to send the results to.
        is_copy = isinstance(address, RemotePath) and cls.at(address, OPENED).folder.absolute() == folder
        return cls(folder, address if isinstance(address, RemotePath) and is_copy else None)

    def place_of(self, path: Path) -> Place:
        """The path, or the address, of a file or folder of this one."""
        return self.place / path.relative_to(self.folder).as_posix()

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def tensorboard(self) -> Path:
        return self.folder / "tb"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def samples(self) -> Path:
        return self.folder / "samples"

    @property
    def program(self) -> Path:
        """What another program writes, where a trial runs one: its samples/step_<n>/<class>/ and its own files."""
        return self.folder / "program"

    @property
    def program_ended(self) -> Path:
        """The last step of a program that has ended with code 0, so that a later attempt only scores its samples."""
        return self.folder / "program.json"

    @property
    def scores(self) -> Path:
        """The final scores with confusion matrices and scores by class, which status.json and the ledger leave out."""
        return self.folder / "scores.json"

    @property
    def evaluations(self) -> Path:
        """The results of `vgsearch evaluate`, in a folder for each checkpoint."""
        return self.folder / "evaluations"

    def seed(self, number: int) -> Place:
        """The folder of the point's training `number` with another seed; its files are those of a trial."""
        return self.place / "seeds" / str(number)

    def of_class(self, number: int) -> Place:
        """The folder of the generator of a class, where each class has its own; its files are those of a trial."""
        return self.place / CLASSES / str(number)

    def checkpoint_sizes(self) -> dict[str, int]:
        """Bytes of each checkpoint, also of the generators of single classes, by its path in the folder."""
        name = self.checkpoints.name
        own = {f"{name}/{file}": n_bytes for file, n_bytes in self.working_copy.sizes(name).items()}
        of_classes = {f"{CLASSES}/{file}": n_bytes for file, n_bytes in self.working_copy.sizes(CLASSES).items()}
        return own | {file: n_bytes for file, n_bytes in of_classes.items() if file.split("/")[2] == name}

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    def inherit(self, parent: "TrialFolder", below: int) -> int | None:
        """Copy the newest checkpoint of `parent` before step `below` here, unless this trial has one; returns its step.

        None if the parent's checkpoints were deleted: the trial then starts from step 0.
        """
        own, theirs = (folder.working_copy.sizes(folder.checkpoints.name) for folder in (self, parent))
        steps = [step for name in own or theirs if (step := _step_of(name)) is not None and (own or step < below)]
        if own or not steps:
            return min(steps, default=None)
        name = f"{self.checkpoints.name}/step{max(steps):08d}.pt"
        parent.working_copy.pull(lambda other: other == name, delete=False)
        content = (parent.folder / name).read_bytes()
        write_atomically(self.folder / name, lambda stream: stream.write(content))
        self.working_copy.push(lambda other: other == name)
        return max(steps)

    def set_aside(self) -> None:
        """Move the files of an attempt to attempts/<n> and delete its checkpoints: the trial starts from step 0."""
        self.working_copy.remove(self.checkpoints.name)
        self.working_copy.pull()
        parts = (self.metrics, self.tensorboard, self.samples, self.scores, self.log, self.folder / "seeds",
                 self.program, self.program_ended)  # fmt: skip
        left = [path for path in parts if path.exists()]
        if left:
            attempts = self.folder / "attempts"
            attempt = attempts / str(1 + sum(1 for _ in attempts.glob("*")))
            attempt.mkdir(parents=True)
            for path in left:
                path.rename(attempt / path.name)
        self.working_copy.push()

    @property
    def status(self) -> Path:
        return self.folder / "status.json"

    @property
    def stop_request(self) -> Place:
        """A file; while it exists, this trial ends as pruned."""
        return self.place / ".stop"

    def ask_to_stop(self) -> None:
        """Ask the trial, from any process, to end as pruned."""
        request = self.stop_request
        request.put(b"stop") if isinstance(request, RemotePath) else request.touch()


@dataclass(frozen=True)
class Experiment(StoredFolder):
    """The folder of one sweep: `<out>/<name>`."""

    _lease: Lease | None = field(default=None, compare=False, repr=False)
    _held: IO[bytes] | None = field(default=None, compare=False, repr=False)
    """The locked file, while this process is the driver."""

    @classmethod
    def at(cls, where: str | Place, copy: str = VIEWED) -> "Experiment":
        """The experiment at a path, or the working copy of kind `copy` of the experiment at an address."""
        where = place(where).absolute()
        if isinstance(where, RemotePath):
            return cls(copy_folder(copy, where), where)
        _refuse_long(where)
        return cls(where)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def sweep(self) -> Path:
        return self.folder / "sweep.yaml"

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.jsonl"

    @property
    def events(self) -> Place:
        """The events that readers follow: the ledger, or on an object store the folder of its segments."""
        return self.ledger if self.address is None else self.address / "ledger"

    @property
    def has_events(self) -> bool:
        """Whether there is any event."""
        events = self.events
        return bool(events.file_names()) if isinstance(events, RemotePath) else events.exists()

    @property
    def study(self) -> Path:
        """Optuna's study; always on the driver's own disk, since it can be recreated from the ledger."""
        return self.folder / "optuna.db"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's columns to compare the trials, and the real clips; beside the trials, whose names are short."""
        return self.trials / "real"

    @property
    def report(self) -> Path:
        """The report of the sweep, in one file."""
        return self.folder / "report.html"

    @property
    def report_folder(self) -> Path:
        """The report as Markdown with its figures."""
        return self.folder / "report"

    @property
    def confirm(self) -> Path:
        """The results of training the best points again on fresh seeds."""
        return self.folder / "confirm.json"

    def confirm_run(self, run: str) -> TrialFolder:
        """The folder of a run that confirms a point; apart from the trials of the search."""
        return self._trial_folder("confirm", run)

    @property
    def ray(self) -> Path:
        """Ray Tune's own bookkeeping, which vgsearch never reads."""
        return self.folder / ".ray"

    @property
    def stop_request(self) -> Place:
        """A file; while it exists, every running trial saves and ends."""
        return self.place / ".stop"

    def missing(self) -> ConfigurationError:
        """The error for a place without a sweep; it names the experiment beside it whose name is nearest."""
        above = self.place.parent.parent if self.place.parent.name == self.trials.name else self.place.parent
        if re.match(r"t\d", self.name) and (above / self.sweep.name).exists():
            trial = shlex.quote(f"{above}/{self.name}")
            return ConfigurationError(
                f"{self.place} is a trial; give its experiment, {above}, or see the trial: vgsearch show {trial}"
            )
        beside = self.folder.parent
        names = [] if self.address is not None or not beside.is_dir() else sorted(p.name for p in beside.iterdir())
        known = [name for name in names if (beside / name / self.ledger.name).is_file()]
        near = difflib.get_close_matches(self.name, known, n=1, cutoff=0.5)
        did = (
            f"did you mean {beside / near[0]}?" if near else "give the folder of an experiment; vgsearch ls lists them."
        )
        return ConfigurationError(f"{self.place} contains no sweep ({self.ledger.name} is missing); {did}")

    def refuse_missing(self) -> None:
        """Raise ConfigurationError if there is no sweep; call it before `lock`, which creates the folder."""
        if not self.has_events and not (self.place / self.sweep.name).exists():
            raise self.missing()

    def refuse_lost(self) -> None:
        """Raise MovedExperiment if the folder was moved, ExperimentInUse if another driver has taken over."""
        if self._held is not None:
            refuse_moved(self._held, self.folder / LOCK, self.place)
        if self._lease is not None and self._lease.is_lost:
            raise ExperimentInUse(
                f"another driver took over {self.place} while this one could not reach the storage; stopping."
            )

    @property
    def is_stopping(self) -> bool:
        """Whether the driver on this machine has asked its trials to end."""
        return (self.folder / ".stop").exists()

    def ask_to_stop(self) -> None:
        """Ask every trial to save and end; a later call asks again if the storage could not be reached."""
        (self.folder / ".stop").touch()
        sent = self.folder / ".stop-told"
        if isinstance(self.stop_request, RemotePath) and not sent.exists():
            with suppress(StorageError):
                self.stop_request.put(b"stop")
                sent.touch()

    def ask_to_stop_from_outside(self) -> None:
        """Leave the request where trials look for it; the driver takes it up when the first of them has ended."""
        request = self.stop_request
        request.put(b"stop") if isinstance(request, RemotePath) else request.touch()

    def withdraw_stop_request(self) -> None:
        """Delete the stop request."""
        for name in (".stop", ".stop-told"):
            (self.folder / name).unlink(missing_ok=True)
        self.stop_request.unlink(missing_ok=True)

    @property
    def trials(self) -> Path:
        return self.folder / "trials"

    def trial(self, trial_id: str) -> TrialFolder:
        return self._trial_folder("trials", trial_id)

    def _trial_folder(self, kind: str, name: str) -> TrialFolder:
        checked_name(name, "a trial's id")
        return TrialFolder(self.folder / kind / name, self.address and self.address / kind / name)

    def lock(self) -> ExitStack:
        """Lock the experiment for one driver, until the result is closed, and update this driver's working copy.

        Raises ExperimentInUse, or UnwritableFolder if the folder is not writable.
        """
        held = ExitStack()
        object.__setattr__(self, "_held", held.enter_context(locked_folder(self.folder, self.place)))
        delete_parts(self.folder)
        held.callback(object.__setattr__, self, "_held", None)
        held.callback(_remove_if_never_begun, self.folder)
        if self.address is not None:
            try:
                lease = held.enter_context(Lease(self.address / LOCK, str(self.address)))
                object.__setattr__(self, "_lease", lease)
                board = f"{self.tensorboard.relative_to(self.folder).as_posix()}/"
                self.working_copy.pull(lambda name: name == self.sweep.name or name.startswith(board))
            except BaseException:
                held.close()
                raise
        return held


def _remove_if_never_begun(folder: Path) -> None:
    """Remove an experiment's folder that holds its lock alone; call it while it is locked."""
    with suppress(OSError):  # it was moved
        if [path.name for path in folder.iterdir()] == [LOCK]:
            (folder / LOCK).unlink()
            folder.rmdir()


def _refuse_long(folder: Path) -> None:
    """Raise ConfigurationError for a path that is too long for the file system."""
    try:
        folder.stat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ConfigurationError(f"{folder}: {error.strerror}; give a shorter path.") from None


def _step_of(name: str) -> int | None:
    match = re.fullmatch(r"step(\d+)\.pt", name)
    return int(match[1]) if match else None


def trial_id(index: int, digest: str) -> str:
    """A trial's index and six hex digits of its configuration's hash: t0007-3fa9c1."""
    return f"t{index:04d}-{digest[:6]}"


def run_id(trial: str, seed: int, fold: int = 0) -> str:
    """The id of a trial's point trained again with another seed: t0007-3fa9c1-s500000, on fold 2: ...-s500000-f2."""
    return f"{trial}-s{seed}-f{fold}" if fold else f"{trial}-s{seed}"


def short_id(trial: str) -> str:
    """t0007-3fa9c1 as t0007, and t0007-3fa9c1-s500000 as t0007-s500000."""
    order, _, *seed = trial.split("-")
    return "-".join([order, *seed])

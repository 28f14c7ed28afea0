"""Every path and file name under runs/, in one place."""

import fcntl
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO

from vgsearch.object_store.lease import ExperimentInUse, Lease, this_process
from vgsearch.object_store.working_copy import WorkingCopy, copy_folder
from videogan.config import ConfigurationError
from videogan.storage.atomic import write_atomically
from videogan.storage.places import Place, RemotePath, StorageError, place

SAMPLES_PER_CLASS = 6
"""Codes in each row of a trial's samples/grid.gif, whose rows are classes."""
DRIVEN, VIEWED, OPENED = "driven", "viewed", "opened"
"""Copies of what is kept on an object store: of the only driver, of those who look, and of those who add to a trial."""
ADDRESS = ".address"
"""In the copy of a trial, a file that tells where it is kept."""


class UnwritableFolder(RuntimeError):
    """An experiment has nowhere to keep what it finds."""


@dataclass(frozen=True)
class KeptFolder:
    """A folder, and where it is kept if that is elsewhere."""

    folder: Path
    address: RemotePath | None = None

    @cached_property
    def working_copy(self) -> WorkingCopy:
        """What copies between the folder and its address; trials of an experiment have their own."""
        return WorkingCopy(self.folder, self.address)

    @property
    def place(self) -> Place:
        """Where it is kept."""
        return self.address or self.folder


@dataclass(frozen=True)
class TrialFolder(KeptFolder):
    """What one trial leaves behind."""

    @classmethod
    def at(cls, where: str | Place, copy: str) -> "TrialFolder":
        """The trial kept at a path, or at an address of which this is the copy of that kind."""
        where = place(where)
        if not isinstance(where, RemotePath):
            return cls(where)
        # Below a folder of its experiment's name, as where it is kept.
        kind, experiment = where.parent.name, where.parent.parent
        return cls(copy_folder(copy, where).parent / experiment.name / kind / where.name, where)

    @classmethod
    def around(cls, checkpoint: Path) -> "TrialFolder":
        """The trial that a checkpoint file on this machine lies in, or in whose copy."""
        folder = checkpoint.absolute().parent.parent
        told = folder / ADDRESS
        address = place(told.read_text()) if told.is_file() else None
        return cls(folder, address if isinstance(address, RemotePath) else None)

    def kept(self, path: Path) -> Place:
        """Where a file or folder of this one is kept."""
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
    def scores(self) -> Path:
        """The final scores whole, confusion matrices and all; status.json and the ledger hold their summary."""
        return self.folder / "scores.json"

    @property
    def evaluations(self) -> Path:
        """What `vgsearch evaluate` found of single checkpoints, a folder each."""
        return self.folder / "evaluations"

    def seed(self, number: int) -> Place:
        """Where the point's further trainings are kept, each in a folder as a trial's own."""
        return self.place / "seeds" / str(number)

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    def inherit(self, parent: "TrialFolder", below: int) -> int | None:
        """Copies the newest checkpoint of `parent` before step `below` here, unless there is one; returns its step.

        None where the parent has none any more: it then starts from nothing.
        """
        own, theirs = (folder.working_copy.sizes(folder.checkpoints.name) for folder in (self, parent))
        steps = [step for name in own or theirs if (step := _step_of(name)) is not None and (own or step < below)]
        if own or not steps:
            return min(steps, default=None)
        name = f"{self.checkpoints.name}/step{max(steps):08d}.pt"
        parent.working_copy.pull(lambda kept: kept == name, delete=False)
        content = (parent.folder / name).read_bytes()
        write_atomically(self.folder / name, lambda stream: stream.write(content))
        self.working_copy.push(lambda kept: kept == name)
        return max(steps)

    def set_aside(self) -> None:
        """Moves what an attempt left to attempts/<n>, but for its checkpoints, which go: the trial starts from nothing."""
        self.working_copy.remove(self.checkpoints.name)
        self.working_copy.pull()
        parts = (self.metrics, self.tensorboard, self.samples, self.scores, self.log, self.folder / "seeds")
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


@dataclass(frozen=True)
class Experiment(KeptFolder):
    """One sweep's folder: `<out>/<name>`."""

    _lease: Lease | None = field(default=None, compare=False, repr=False)

    @classmethod
    def at(cls, where: str | Place, copy: str = VIEWED) -> "Experiment":
        """The experiment kept at a path, or at an address of which this is the copy of that kind."""
        where = place(where).absolute()
        return cls(copy_folder(copy, where), where) if isinstance(where, RemotePath) else cls(where)

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
        """What tells readers what happened: the ledger, or on an object store the folder of its segments."""
        return self.ledger if self.address is None else self.address / "ledger"

    @property
    def has_events(self) -> bool:
        """Whether anything has happened, or is known of it."""
        kept = self.events
        return bool(kept.file_names()) if isinstance(kept, RemotePath) else kept.exists()

    @property
    def study(self) -> Path:
        """Optuna's; on the driver's own disk also where the rest is kept elsewhere, for the ledger tells all of it."""
        return self.folder / "optuna.db"

    @property
    def tensorboard(self) -> Path:
        """What TensorBoard's HParams tab compares in all trials."""
        return self.folder / "tb"

    @property
    def report(self) -> Path:
        """All about the sweep in one file."""
        return self.folder / "report.html"

    @property
    def confirm(self) -> Path:
        """What training the best points again, on fresh seeds, said of them."""
        return self.folder / "confirm.json"

    def confirm_run(self, run: str) -> TrialFolder:
        """A point trained again; apart from the trials of the search."""
        return self._kept("confirm", run)

    @property
    def ray(self) -> Path:
        """Ray Tune's own bookkeeping, which nothing here reads."""
        return self.folder / ".ray"

    @property
    def stop_request(self) -> Place:
        """Its existence asks every running trial to save and end."""
        return self.place / ".stop"

    def refuse_missing(self) -> None:
        """Raises where nothing tells of a sweep; before `lock`, which would make the folder."""
        if not self.has_events and not (self.place / self.sweep.name).exists():
            raise ConfigurationError(
                f"{self.place} holds no sweep (no {self.sweep.name}); give the folder of an experiment."
            )

    def refuse_lost(self) -> None:
        """Raises ExperimentInUse where another driver has taken over from this one."""
        if self._lease is not None and self._lease.is_lost:
            raise ExperimentInUse(f"{self.place} was taken over by another driver while this one was out of reach.")

    @property
    def is_stopping(self) -> bool:
        """Whether this machine's driver has asked its trials to end."""
        return (self.folder / ".stop").exists()

    def ask_to_stop(self) -> None:
        """Asks once more where the storage was out of reach: `is_stopping` stays true, and the driver's loop comes back here."""
        (self.folder / ".stop").touch()
        told = self.folder / ".stop-told"
        if isinstance(self.stop_request, RemotePath) and not told.exists():
            with suppress(StorageError):
                self.stop_request.put(b"stop")
                told.touch()

    def ask_no_more(self) -> None:
        for name in (".stop", ".stop-told"):
            (self.folder / name).unlink(missing_ok=True)
        self.stop_request.unlink(missing_ok=True)

    @property
    def trials(self) -> Path:
        return self.folder / "trials"

    def trial(self, trial_id: str) -> TrialFolder:
        return self._kept("trials", trial_id)

    def _kept(self, kind: str, name: str) -> TrialFolder:
        return TrialFolder(self.folder / kind / name, self.address and self.address / kind / name)

    def lock(self) -> ExitStack:
        """Holds the experiment for one driver until what is returned is closed; brings this driver's copy up to date.

        Raises ExperimentInUse, or UnwritableFolder where nothing can be kept.
        """
        held = ExitStack()
        held.enter_context(self._lock_folder())
        if self.address is not None:
            try:
                lease = held.enter_context(Lease(self.address / ".lock", str(self.address)))
                object.__setattr__(self, "_lease", lease)
                self.working_copy.pull(
                    lambda name: name == self.sweep.name or name.startswith(f"{self.tensorboard.name}/")
                )
            except BaseException:
                held.close()
                raise
        return held

    def _lock_folder(self) -> IO[bytes]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = open(self.folder / ".lock", "ab+", buffering=0)  # noqa: SIM115 (the lock lives while it is open)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            handle.truncate(0)
            handle.write(f"{this_process()}\n".encode())
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().decode().strip() or "another vgsearch"
            handle.close()
            raise ExperimentInUse(f"{self.place} is in use by {holder}; wait for it, or stop it with Ctrl-C.") from None
        except OSError as error:
            raise UnwritableFolder(
                f"{self.folder} can't be written: {error.strerror}. Choose another --out, or make it writable."
            ) from None
        return handle


@contextmanager
def opened_checkpoint(path: Path) -> Iterator[Path]:
    """A checkpoint file on this machine: itself, or one in a copy of its trial, whose new results are sent when it is left.

    Raises ConfigurationError where no checkpoint of a trial is kept at an address.
    """
    where = place(path)
    if not isinstance(where, RemotePath):
        yield path
        return
    trial_place = where.parent.parent
    trial = TrialFolder.at(trial_place, OPENED)
    if where.parent.name != trial.checkpoints.name or not where.is_file():
        raise ConfigurationError(
            f"{where} does not exist, or not in a trial's folder; give .../trials/<trial>/checkpoints/<step>.pt."
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


def _is_record(trial: TrialFolder, name: str) -> bool:
    return name == trial.metrics.name or name.startswith(f"{trial.tensorboard.name}/")


@contextmanager
def appended_records(trial: TrialFolder) -> Iterator[bool]:
    """For adding to a trial's curves: brings them as they are kept now, and sends them when it is left.

    Says whether they may be added to: not those of a trial that runs, whose own next lines would take their place.
    """
    if not isinstance(trial.place, RemotePath):
        yield True
        return
    trial.working_copy.pull(lambda name: name == trial.status.name or _is_record(trial, name))
    yield trial.status.exists()  # written when a trial ends
    trial.working_copy.push(lambda name: _is_record(trial, name))


def _step_of(name: str) -> int | None:
    match = re.fullmatch(r"step(\d+)\.pt", name)
    return int(match[1]) if match else None


def trial_id(index: int, digest: str) -> str:
    """A trial's order and six hex digits of its config's hash: t0007-3fa9c1."""
    return f"t{index:04d}-{digest[:6]}"


def run_id(trial: str, seed: int) -> str:
    """A trial's point trained again with another seed: t0007-3fa9c1-s500000."""
    return f"{trial}-s{seed}"


def short_id(trial: str) -> str:
    """t0007-3fa9c1 as t0007, and t0007-3fa9c1-s500000 as t0007-s500000."""
    order, _, *seed = trial.split("-")
    return "-".join([order, *seed])


def next_name(out: Place, space: str) -> str:
    """The first free `<space>-<nnn>` under `out`."""
    names = out.folder_names() if isinstance(out, RemotePath) else {path.name for path in out.glob(f"{space}-*")}
    taken = [int(m[1]) for name in names if (m := re.fullmatch(rf"{re.escape(space)}-(\d+)", name))]
    return f"{space}-{max(taken, default=0) + 1:03d}"

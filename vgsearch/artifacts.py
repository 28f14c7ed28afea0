"""Every path and file name under runs/, in one place."""

import fcntl
import os
import re
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import IO

SAMPLES_PER_CLASS = 6
"""Codes in each row of a trial's samples/grid.gif, whose rows are classes."""


class ExperimentInUse(RuntimeError):
    """Another driver writes this experiment's ledger."""


class UnwritableFolder(RuntimeError):
    """An experiment has nowhere to keep what it finds."""


@dataclass(frozen=True)
class TrialFolder:
    """What one trial leaves behind."""

    folder: Path

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

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    def set_aside(self) -> None:
        """Moves what an attempt left to attempts/<n>, but for its checkpoints, which go: the trial starts from nothing."""
        if self.checkpoints.exists():
            shutil.rmtree(self.checkpoints)
        left = [path for path in (self.metrics, self.tensorboard, self.samples, self.scores, self.log) if path.exists()]
        if not left:
            return
        attempts = self.folder / "attempts"
        attempt = attempts / str(1 + sum(1 for _ in attempts.glob("*")))
        attempt.mkdir(parents=True)
        for path in left:
            path.rename(attempt / path.name)

    @property
    def status(self) -> Path:
        return self.folder / "status.json"


@dataclass(frozen=True)
class Experiment:
    """One sweep's folder: `<out>/<name>`."""

    folder: Path

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
    def study(self) -> Path:
        return self.folder / "optuna.db"

    @property
    def tensorboard(self) -> Path:
        """What TensorBoard's HParams tab compares in all trials."""
        return self.folder / "tb"

    @property
    def confirm(self) -> Path:
        """What training the best points again, on fresh seeds, said of them."""
        return self.folder / "confirm.json"

    def confirm_run(self, run: str) -> TrialFolder:
        """A point trained again; apart from the trials of the search."""
        return TrialFolder(self.folder / "confirm" / run)

    @property
    def ray(self) -> Path:
        """Ray Tune's own bookkeeping, which nothing here reads."""
        return self.folder / ".ray"

    @property
    def stop_request(self) -> Path:
        """Its existence asks every running trial to save and end."""
        return self.folder / ".stop"

    @property
    def trials(self) -> Path:
        return self.folder / "trials"

    def trial(self, trial_id: str) -> TrialFolder:
        return TrialFolder(self.trials / trial_id)

    def lock(self) -> IO[bytes]:
        """Holds the experiment for one driver until the returned file is closed.

        Raises ExperimentInUse, or UnwritableFolder where nothing can be kept.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = open(self.folder / ".lock", "ab+", buffering=0)  # noqa: SIM115 (the lock lives while it is open)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            handle.truncate(0)
            handle.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().decode().strip() or "another vgsearch"
            handle.close()
            raise ExperimentInUse(
                f"{self.folder} is in use by {holder}; wait for it, or stop it with Ctrl-C."
            ) from None
        except OSError as error:
            raise UnwritableFolder(
                f"{self.folder} can't be written: {error.strerror}. Choose another --out, or make it writable."
            ) from None
        return handle


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


def next_name(out: Path, space: str) -> str:
    """The first free `<space>-<nnn>` under `out`."""
    taken = [int(m[1]) for p in out.glob(f"{space}-*") if (m := re.fullmatch(rf"{re.escape(space)}-(\d+)", p.name))]
    return f"{space}-{max(taken, default=0) + 1:03d}"

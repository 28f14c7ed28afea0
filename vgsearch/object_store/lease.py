"""The right to write an experiment on an object store, which knows no locks: an object that its holder writes again and again."""

import json
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from videogan.storage.places import RemotePath, StorageError

SECONDS = 60.0
"""After which a lease that its holder did not renew is anybody's."""
SECONDS_BETWEEN_RENEWALS = 15.0
SECONDS_OF_A_RACE = 1.0
"""In which another process that took the same free lease has written it, too: the later one holds it."""


class ExperimentInUse(RuntimeError):
    """Another driver writes this experiment's ledger."""


def this_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


class Lease:
    """Held from its making until it is left; renewed in a thread meanwhile. Raises ExperimentInUse where another holds it.

    Ages are told by the storage's own clock. A holder whose process is gone from this machine holds nothing. A process that
    was suspended for so long that another took over is told by `is_lost`, or finds its next line written (`segments.py`).
    """

    def __init__(self, where: RemotePath, what: str) -> None:
        self._where, self._what, self._token = where, what, uuid.uuid4().hex
        self.is_lost = False
        """Whether another took over, while this process was suspended or the storage out of its reach."""
        self._refuse_held()
        self._write()
        time.sleep(SECONDS_OF_A_RACE)
        self._refuse_held()
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._left.set()
        self._thread.join()
        if self._holder().get("token") == self._token:
            self._where.unlink(missing_ok=True)

    def _renew(self) -> None:
        while not self._left.wait(SECONDS_BETWEEN_RENEWALS):
            try:
                if self._holder().get("token") != self._token:
                    self.is_lost = True
                    return
                self._write()
            except StorageError:
                continue  # out of reach for now; a lease that stays unrenewed is given up in time

    def _write(self) -> None:
        told = {"token": self._token, "host": socket.gethostname(), "pid": os.getpid(), "machine": _machine()}
        self._where.put(json.dumps(told).encode())

    def _holder(self) -> dict[str, Any]:
        try:
            return json.loads(self._where.read_bytes())
        except FileNotFoundError:
            return {}

    def _refuse_held(self) -> None:
        holder = self._holder()
        if not holder or holder["token"] == self._token or _is_gone(holder):
            return
        age = self._age()
        if age < SECONDS:
            raise ExperimentInUse(
                f"{self._what} is in use by process {holder['pid']} on {holder['host']}, last heard of {age:.0f} s ago; wait for "
                f"it, stop it with Ctrl-C, or, where it was killed, try again in {SECONDS - age:.0f} s."
            )

    def _age(self) -> float:
        """Seconds since the lease was written, by the clock of its storage."""
        clock = self._where.parent / f".clock-{self._token}"
        clock.put(b"")
        now, written = clock.stamp(), self._where.stamp()
        clock.unlink(missing_ok=True)
        return (now.mtime_ns - written.mtime_ns) / 1e9 if now and written else SECONDS


def _machine() -> str:
    """This boot of this machine, and whose process numbers count here: hosts and containers may share a name."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:  # not Linux
        return f"{socket.gethostname()}-{uuid.getnode()}"


def _is_gone(holder: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that lives no more."""
    if holder["machine"] != _machine() or holder["pid"] == os.getpid():
        return False
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's
        return False
    return False

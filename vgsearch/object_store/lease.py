"""One driver for each experiment on an object store, which has no locks: the driver renews an object, the lease."""

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
"""A lease that its holder has not renewed for this long is free."""
SECONDS_BETWEEN_RENEWALS = 15.0
TRIES, SECONDS_BETWEEN_TRIES = 5, 0.1
"""Reads of a lease that another process may be replacing."""
SECONDS_OF_A_RACE = 1.0
"""Two processes that take the same free lease both write it within this time; the later one holds it."""


class ExperimentInUse(RuntimeError):
    """Another driver writes this experiment's ledger."""


def this_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


class Lease:
    """A lease, held from construction until `__exit__` and renewed by a thread; raises ExperimentInUse if it is taken.

    The age of a lease is measured by the storage's own clock. If its holder was a process of this machine that no
    longer exists, the lease is free. A process that was suspended until another took over sees `is_lost`, or finds
    that the other driver has already written its next line (`ledger_segments.py`).
    """

    def __init__(self, where: RemotePath, what: str) -> None:
        self._where, self._what, self._token = where, what, uuid.uuid4().hex
        self.is_lost = False
        """Whether another driver took over while this process was suspended or could not reach the storage."""
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
                continue  # unreachable for now; a lease that is not renewed expires

    def _write(self) -> None:
        content = {"token": self._token, "host": socket.gethostname(), "pid": os.getpid(), "machine": _machine()}
        self._where.put(json.dumps(content).encode())

    def _holder(self) -> dict[str, Any]:
        """The lease as it is stored; empty if there is none. Raises StorageError if it stays unreadable."""
        for _ in range(TRIES):
            try:
                holder: dict[str, Any] = json.loads(self._where.read_bytes())
                return holder
            except FileNotFoundError:
                return {}
            except ValueError:  # another process replaced it between the two requests of a read
                time.sleep(SECONDS_BETWEEN_TRIES)
        raise StorageError(f"{self._where}: a lease must be JSON; delete this file if no driver is running.")

    def _refuse_held(self) -> None:
        holder = self._holder()
        if not holder or holder["token"] == self._token or _is_gone(holder):
            return
        age = self._age()
        if age < SECONDS:
            raise ExperimentInUse(
                f"{self._what} is in use by process {holder['pid']} on {holder['host']}, last seen {age:.0f} s ago; "
                f"wait for it, stop it with Ctrl-C, or, if it was killed, try again in {SECONDS - age:.0f} s."
            )

    def _age(self) -> float:
        """Seconds since the lease was written, by the clock of its storage."""
        clock = self._where.parent / f".clock-{self._token}"
        clock.put(b"")
        now, written = clock.stamp(), self._where.stamp()
        clock.unlink(missing_ok=True)
        return (now.mtime_ns - written.mtime_ns) / 1e9 if now and written else SECONDS


def _machine() -> str:
    """This boot of this machine and this PID namespace: several hosts or containers may share a hostname."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:  # not Linux
        return f"{socket.gethostname()}-{uuid.getnode()}"


def _is_gone(holder: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that no longer exists."""
    if holder["machine"] != _machine() or holder["pid"] == os.getpid():
        return False
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's
        return False
    return False

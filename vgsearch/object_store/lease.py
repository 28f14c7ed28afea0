"""One driver for each experiment on an object store, which has no locks: the driver renews an object, the lease."""

import json
import os
import socket
import threading
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vgsearch.object_store.conditional import Changed, Tag, create, read, replace
from videogan.storage.places import RemotePath, StorageError

SECONDS = 60.0
"""A lease that its holder has not renewed for this long is free."""
SECONDS_BETWEEN_RENEWALS = 15.0


class ExperimentInUse(RuntimeError):
    """Another driver writes this experiment's ledger."""


def this_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


class Lease:
    """A lease, held from construction until `__exit__` and renewed by a thread; raises ExperimentInUse if it is taken.

    Of processes that take a free lease at the same time, the storage lets one write: each write is conditional on what
    the process has read. The age of a lease is measured by the storage's own clock. If its holder was a process of this
    machine that no longer exists, the lease is free. A process that was suspended until another took over sees
    `is_lost`, or finds that the other driver has already written its next line (`ledger_segments.py`).
    """

    def __init__(self, where: RemotePath, what: str) -> None:
        self._where, self._what, self._token = where, what, uuid.uuid4().hex
        self.is_lost = False
        """Whether another driver took over while this process was suspended or could not reach the storage."""
        self._tag = self._take()
        self._refuse_unconditional()
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._left.set()
        self._thread.join(SECONDS_BETWEEN_RENEWALS)  # it may be asking a storage that does not answer
        if self._own_tag() is not None:
            self._where.unlink(missing_ok=True)

    def _take(self) -> Tag:
        """Write the lease if it is free; raises ExperimentInUse."""
        holder, tag = self._holder()
        if holder and not _is_gone(holder) and (age := self._age()) < SECONDS:
            raise self._in_use(holder, age)
        try:
            return create(self._where, self._content()) if tag is None else replace(self._where, self._content(), tag)
        except Changed:
            if (tag := self._own_tag()) is not None:  # our own request had succeeded although it reported an error
                return tag
            raise self._in_use(self._holder()[0], 0.0) from None

    def _refuse_unconditional(self) -> None:
        """Raise StorageError if the storage ignores conditions: two drivers could then overwrite events."""
        try:
            create(self._where, self._content())
        except Changed:
            return
        self._where.unlink(missing_ok=True)
        raise StorageError(
            f"{self._where}: this storage ignores the condition If-None-Match, without which two drivers could "
            "overwrite each other's events; use a newer server, S3 or Google's storage (gs://)."
        )

    def _in_use(self, holder: dict[str, Any], age: float) -> ExperimentInUse:
        by = f"process {holder['pid']} on {holder['host']}" if holder else "another process"
        return ExperimentInUse(
            f"{self._what} is in use by {by}, last seen {age:.0f} s ago; "
            f"wait for it, stop it with Ctrl-C, or, if it was killed, try again in {SECONDS - age:.0f} s."
        )

    def _renew(self) -> None:
        while not self._left.wait(SECONDS_BETWEEN_RENEWALS):
            try:
                self._tag = replace(self._where, self._content(), self._tag)
            except Changed:
                try:
                    tag = self._own_tag()
                except StorageError:
                    continue
                if tag is None:
                    self.is_lost = True
                    return
                self._tag = tag  # our own request had succeeded although it reported an error
            except StorageError:
                continue  # unreachable for now; a lease that is not renewed expires

    def _content(self) -> bytes:
        content = {"token": self._token, "host": socket.gethostname(), "pid": os.getpid(), "machine": _machine()}
        return json.dumps(content).encode()

    def _own_tag(self) -> Tag | None:
        """The version of the stored lease if this process holds it, otherwise None."""
        holder, tag = self._holder()
        return tag if holder.get("token") == self._token else None

    def _holder(self) -> tuple[dict[str, Any], Tag | None]:
        """The lease as it is stored, and its version; empty if there is none. Raises StorageError if it is no lease."""
        found = read(self._where)
        if found is None:
            return {}, None
        try:
            holder: dict[str, Any] = json.loads(found[0])
            if not {"token", "host", "pid", "machine"} <= holder.keys():
                raise ValueError
        except (ValueError, AttributeError):
            raise StorageError(
                f"{self._where}: a lease must be JSON; delete this file if no driver is running."
            ) from None
        return holder, found[1]

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
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
        return f"{boot}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:  # not Linux
        return f"{socket.gethostname()}-{uuid.getnode()}"


def _is_gone(holder: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that no longer exists."""
    return holder["machine"] == _machine() and not process_exists(holder["pid"])


def process_exists(pid: int) -> bool:
    """Whether this machine has a process of that id, also another user's."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True

"""Processes of this machine: their states, and the end of those that a process has started, with what they started."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

STOPPED = ("T", "t")


class Process(NamedTuple):
    """A process; `began`, in ticks since the boot, tells it from a later one of the same id."""

    pid: int
    began: int


def started(pid: int) -> int:
    """When a process of this machine started, in ticks since the boot; 0 if there is no such process."""
    fields = stat(pid)
    return int(fields[19]) if fields else 0


def state_of(pid: int) -> str:
    """A process's state in one letter, as `ps` prints it: T is stopped, Z has ended; empty if there is none."""
    fields = stat(pid)
    return fields[0] if fields else ""


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may have spaces and brackets."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return []


def name_of(pid: int) -> str:
    """What a process calls itself, such as ray::_measure_floor; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
    except OSError:
        return ""


def short_name(pid: int) -> str:
    """The first 15 bytes of the name of a process's program, also of one that has ended; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def children(pid: int) -> set[Process]:
    """The processes that a process has started and that have not been waited for."""
    every = ((int(folder.name), stat(int(folder.name))) for folder in Path("/proc").glob("[0-9]*"))
    return {Process(each, int(fields[19])) for each, fields in every if fields and int(fields[1]) == pid}


def descendants(pid: int) -> set[Process]:
    """The children of a process, their children, and so on."""
    own = children(pid)
    return own.union(*(descendants(child.pid) for child in own))


def end(processes: Iterable[Process]) -> None:
    """Kill processes, unless they have ended, and wait for those that are children of this one."""
    for process in processes:
        if started(process.pid) == process.began:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(process.pid, 0)

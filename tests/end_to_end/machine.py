"""A machine with its own files and the commands that its user types, for drills on several machines."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from vgsearch.runtime.waits.processes import stat

ROOT = Path(__file__).parents[2]
VGSEARCH = [sys.executable, "-c", "from vgsearch.cli import main; main()"]
TINY = ["--budget", "smoke", "--set", "model.channels=2", "--set", "model.gru_hidden=8", "--set", "loop.log_every=1"]
# Looks and scores that train no classifier on samples, for tests of everything else.
BY_DISTANCE = ["--set", "evaluation.objective=-kvd"]


class Machine:
    """A host with its own files: home, cache of copies, empty working folder."""

    def __init__(self, folder: Path, bucket: str) -> None:
        self.folder = folder
        folder.mkdir()
        self.own = {"XDG_CACHE_HOME": str(folder / "cache"), "VGSEARCH_CACHE": f"{bucket}/cache"}
        self.sessions: set[int] = set()

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Starts the command in its own session, its output in a file, so that it never waits for a reader."""
        return self._started([*VGSEARCH, *map(str, arguments)], str(arguments[0]), self.folder)

    def start_module(self, module: str, *arguments: str | Path) -> subprocess.Popen[str]:
        """Starts a module of the tests in the same way; its log has the module's name."""
        return self._started([sys.executable, "-m", module, *map(str, arguments)], module, ROOT)

    def _started(self, command: list[str], log_name: str, folder: Path) -> subprocess.Popen[str]:
        with open(self.folder / f"{log_name}.log", "w") as log:
            process = subprocess.Popen(command, cwd=folder, env={**os.environ, **self.own}, text=True, stdout=log,
                                       stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
        self.sessions.add(process.pid)
        return process

    def log(self, command: str) -> str:
        return (self.folder / f"{command}.log").read_text()

    def run(self, *arguments: str | Path, code: int = 0, timeout: float = 1500) -> str:
        process = self.start(*arguments)
        process.wait(timeout)
        output = self.log(str(arguments[0]))
        assert process.returncode == code, output
        return output


def processes_of(machine: Machine) -> list[int]:
    """Processes that the machine's user started and that still run, Ray's among them.

    Known by their session or, where they have their own, by their environment, which the names of some overwrite.
    """
    own, found = f"XDG_CACHE_HOME={machine.own['XDG_CACHE_HOME']}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile, or is another user's
            fields = stat(int(folder.name))
            in_session = fields and fields[0] != "Z" and int(fields[3]) in machine.sessions
            if in_session or own in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def command_of(pid: int) -> str:
    """A process's command line, or the name that it gave itself; empty if it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def within(machine: Machine, seconds: float, reached: Callable[[], object]) -> float | None:
    """After how many seconds `reached()` was true; None if it was not.

    Time in which the machine's processes waited for a CPU that other programs used does not count.
    """
    began, before = time.monotonic(), seconds_without_cpu(machine)
    while not reached():
        passed = time.monotonic() - began
        if passed > seconds and passed > seconds + _lost(before, seconds_without_cpu(machine)):
            return None
        time.sleep(0.05 if passed < seconds else 0.5)
    return time.monotonic() - began


def seconds_without_cpu(machine: Machine) -> dict[int, float]:
    """How long each thread of the machine's processes was ready to run and had no CPU."""
    found = {}
    for pid in processes_of(machine):
        for thread in Path(f"/proc/{pid}/task").glob("*"):
            with suppress(OSError):  # it ended meanwhile
                found[int(thread.name)] = int((thread / "schedstat").read_text().split()[1]) / 1e9
    return found


def _lost(before: dict[int, float], now: dict[int, float]) -> float:
    return sum(max(0.0, seconds - before.get(thread, 0.0)) for thread, seconds in now.items())


def kill(driver: subprocess.Popen[str]) -> None:
    """Kills the driver and its Ray with SIGKILL."""
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()

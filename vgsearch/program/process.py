"""A running program: how it ended, what it last said, how long it has been silent."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

KEEPER = Path(__file__).with_name("keeper.py")
SECONDS_OF_KILLING = 30.0
"""For the keeper, after the program's own limit, to see that a killed group is gone."""
BYTES_OF_LAST_LINES = 4000
OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals by which others end a program; it sends itself SIGSEGV or SIGABRT."""


@dataclass(frozen=True)
class Exit:
    """How a program ended: by a code, by a signal, or not at all because it did not start."""

    code: int | None = None
    signal: int | None = None
    error: str = ""
    """Why it did not start."""

    @property
    def is_success(self) -> bool:
        return self.code == 0

    @property
    def is_from_outside(self) -> bool:
        """Whether another process ended it, so that it may succeed when it is started again."""
        return self.signal in OUTSIDE

    def __str__(self) -> str:
        if self.error:
            return f"could not be started: {self.error}"
        return f"ended with code {self.code}" if self.signal is None else f"was ended by {_named(self.signal)}"


class Program:
    """Starts a program under a keeper, which ends it, with all its processes, when this object or its process ends."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path, seconds_to_end: float
    ) -> None:
        """log: the file to which both outputs of the program are appended. Raises OSError if `folder` is missing."""
        self._log, self._seconds_to_end = log, seconds_to_end
        self._begin = log.stat().st_size if log.exists() else 0
        with open(log, "ab") as output:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(KEEPER), str(seconds_to_end), *arguments],
                cwd=folder, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        self._changed, self._size = time.monotonic(), self._begin

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def exit(self) -> Exit | None:
        """How it ended; None while it runs."""
        return None if self._keeper.poll() is None else self._told

    @property
    def seconds_of_silence(self) -> float:
        """Since it last printed, or `heard` was called."""
        if self._log.exists() and (size := self._log.stat().st_size) != self._size:
            self._size = size
            self.heard()
        return time.monotonic() - self._changed

    def heard(self) -> None:
        """Note a sign of life."""
        self._changed = time.monotonic()

    def end(self) -> None:
        """End it with SIGTERM to its group, then SIGKILL, unless it has ended; returns when all of it is gone."""
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        self._keeper.wait(self._seconds_to_end + SECONDS_OF_KILLING)

    def last_lines(self) -> str:
        """The end of what it has printed."""
        if not self._log.exists():
            return ""
        with open(self._log, "rb") as stream:
            stream.seek(max(self._begin, self._log.stat().st_size - BYTES_OF_LAST_LINES))
            return stream.read().decode(errors="replace")

    @property
    def _told(self) -> Exit:
        if not hasattr(self, "_exit"):
            assert self._keeper.stdout is not None
            said = self._keeper.stdout.read().strip()
            self._exit = Exit(**json.loads(said)) if said else Exit(signal=-(self._keeper.returncode or 0))
        return self._exit


def last_line(text: str) -> str:
    """The last line of a text that is not empty; of a progress bar, its newest state."""
    lines = [part.strip() for line in text.splitlines() for part in line.split("\r")]
    return next((line for line in reversed(lines) if line), "")


def inherited_environment(added: Mapping[str, str], n_gpus: float) -> dict[str, str]:
    """This process's variables and those of the command; without GPUs the program sees none."""
    hidden = {} if n_gpus else {"CUDA_VISIBLE_DEVICES": ""}
    return {**os.environ, **hidden, **added}


def _named(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"

"""Signals that end a command: Ctrl-C, SIGTERM, a closed terminal (SIGHUP), and a scheduler's warning (SIGUSR1)."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
REPEATABLE = (signal.SIGHUP, signal.SIGUSR1)
"""A closed terminal sends several hang-ups, and a scheduler may warn again: a second one changes nothing."""


@contextmanager
def on_ending_signal(act: Callable[[int], None]) -> Iterator[None]:
    """Call `act` with the number of each ending signal while the block runs; signals that are ignored stay ignored.

    After a hang-up the terminal's streams lead nowhere, since each write to a closed terminal fails.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    terminals = [stream for stream in (0, 1, 2) if os.isatty(stream)]

    def handle(signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGHUP:
            _lead_nowhere(terminals)
        act(signum)

    # nohup ignores hang-ups.
    heeded = [signum for signum in ENDING if signal.getsignal(signum) is not signal.SIG_IGN]
    # Any: a handler is a function, a number or None.
    before: dict[int, Any] = {signum: signal.signal(signum, handle) for signum in heeded}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def interrupt(signum: int) -> None:
    """End as by Ctrl-C."""
    raise KeyboardInterrupt


@contextmanager
def raised_by_handlers() -> Iterator[None]:
    """Raise what a signal's handler raised within compiled code, where Python makes it the cause of a SystemError."""
    try:
        yield
    except SystemError as error:
        if error.__cause__ is None:
            raise
        raise error.__cause__ from None


@contextmanager
def spared_by_hang_ups() -> Iterator[None]:
    """Block the repeatable signals for the processes that the block starts: a shell sends them to a whole job."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, REPEATABLE)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _lead_nowhere(streams: list[int]) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in streams:
        os.dup2(nowhere, stream)
    os.close(nowhere)

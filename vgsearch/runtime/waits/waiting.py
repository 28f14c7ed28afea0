"""A wait that tells: after half a minute the user reads what is waited for and what ends the wait."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vgsearch.terminal.line import print_line
from vgsearch.terminal.verbosity import is_quiet
from vgsearch.terminal.words import duration

FIRST_TOLD = 30.0
"""Seconds after which a wait is told for the first time; each next time is twice as late."""
SECONDS_TO_END = 5.0
"""Time for a line that is being made when its wait ends."""


class Telling:
    """When a wait is told: after 30 s, 1 min, 2 min, 4 min and so on."""

    def __init__(self) -> None:
        self.due = FIRST_TOLD

    def is_due(self, waited: float) -> bool:
        """Whether to tell after `waited` seconds; true once for each time."""
        if waited < self.due:
            return False
        while self.due <= waited:
            self.due *= 2
        return True


def tell(line: str) -> None:
    """Print a line on stderr, from any thread, but not under -q; a live table or a progress bar lets it pass above."""
    if not is_quiet():
        print_line(line, error=True)


@contextmanager
def waiting(what: str, ends: str, state: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Tell, as long as the block takes, what it waits for, what `state` returns, and what ends the wait.

    A thread tells, so the block may be any call that waits. `state` may ask other processes.
    """
    left = threading.Event()
    teller = threading.Thread(target=_tell, args=(left, what, ends, state), name="waiting", daemon=True)
    teller.start()
    try:
        yield
    finally:
        left.set()
        teller.join(SECONDS_TO_END)


def _tell(left: threading.Event, what: str, ends: str, state: Callable[[], str]) -> None:
    began, telling = time.monotonic(), Telling()
    while not left.wait(max(0.0, telling.due - (time.monotonic() - began))):
        waited = time.monotonic() - began
        if telling.is_due(waited):
            found = state()
            if not left.is_set():
                tell(f"waiting for {what} since {duration(waited)}{found and f': {found}'}; {ends}")

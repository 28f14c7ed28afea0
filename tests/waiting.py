"""Waits for an event in another process or thread, with a time limit; never for a fixed time."""

import time
from collections.abc import Callable


def wait_until(reached: Callable[[], object], missing: Callable[[], object], seconds: float = 1500) -> None:
    """Polls until `reached()` is true; after `seconds` fails with what `missing()` returns."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {missing()}"
        time.sleep(0.05)

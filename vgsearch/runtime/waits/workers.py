"""The workers of a local Ray that are stopped, also those that were stopped before their first sign of life."""

from vgsearch.runtime.waits.beats import Beat
from vgsearch.runtime.waits.processes import STOPPED, children, name_of, state_of

TRIAL = "ray::ImplicitFunc"
"""The start of the name of a trial's process, which Ray Tune's own watchdog ends."""


def stopped_workers(raylet: int, node: str, host: str) -> dict[str, Beat]:
    """A sign of life that never changes for each stopped child process of a raylet, by a key of its own."""
    return {
        f"{pid} of {raylet}": Beat(name_of(pid), pid, began, node, host, 0)
        for pid, began in children(raylet)
        if state_of(pid) in STOPPED
    }

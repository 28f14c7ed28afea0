"""The workers of a local Ray that are stopped, also those that were stopped before their first sign of life."""

from pathlib import Path

from vgsearch.runtime.waits.beats import Beat, started, stat

STOPPED = ("T", "t")
TRIAL = "ray::ImplicitFunc"
"""The start of the name of a trial's process, which Ray Tune's own watchdog ends."""


def stopped_workers(raylet: int, node: str, host: str) -> dict[str, Beat]:
    """A sign of life that never changes for each stopped child process of a raylet, by a key of its own."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        fields = stat(pid)
        if fields and fields[0] in STOPPED and int(fields[1]) == raylet:
            found[f"{pid} of {raylet}"] = Beat(_name(folder), pid, started(pid), node, host, 0)
    return found


def _name(folder: Path) -> str:
    """What the process calls itself, such as ray::_measure_floor; empty if it has just ended."""
    try:
        return (folder / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
    except OSError:
        return ""

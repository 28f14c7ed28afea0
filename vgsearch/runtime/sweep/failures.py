"""The end of a trial by its exception: out of memory, no space left, lost with its process, or failed."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ray import cloudpickle
from ray.exceptions import RayActorError, RayTaskError, WorkerCrashedError
from ray.tune.experiment import Trial

from vgsearch.experiment.end import End
from vgsearch.runtime.waits.watch import local_ray_ends
from vgsearch.terminal.refused_place import FULL
from videogan import out_of_memory

BYTES_OF_A_FULL_DISK = 2**20
_OF_RAYS_MONITOR = "running low on memory"
_OOM_KILLS = Path("/sys/fs/cgroup/memory.events")


def end_of_error(error: BaseException) -> End:
    """The end of a trial that raised `error`, its reason in one line; a full disk interrupts it and halts the sweep."""
    if is_out_of_memory(error):
        return End("out_of_memory", in_one_line(error))
    if full := full_disk(error):
        # If the disk is full for one trial, it is full for all.
        return End("interrupted", full, halts=True)
    return End("failed", in_one_line(error))


def end_of_process(error: BaseException | None, oom_kills_before: int) -> End:
    """The end of a trial whose process raised `error` to Ray Tune, or died, after its last retry."""
    if error is None:
        return End("failed", "failed twice; see log.txt")
    # A Ray Train worker's death is the cause of an error of the task that drives it.
    died = any(
        isinstance(each, RayActorError | WorkerCrashedError) and not isinstance(each, RayTaskError)
        for each in causes(error)
    )
    if died and oom_kills() > oom_kills_before:
        return End("out_of_memory", "its process died while the kernel killed processes for lack of memory")
    if died and not is_out_of_memory(error):
        if local_ray_ends():
            return End("interrupted", "Ray itself ended")
        return End("lost", f"its process or node died twice at one step: {in_one_line(error)}")
    return end_of_error(_deeper(error) or error)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception, or its cause, means a lack of memory: of Python, of torch on any device, of Ray."""
    return any(out_of_memory.is_out_of_memory(each) or _OF_RAYS_MONITOR in str(each) for each in causes(error))


def full_disk(error: BaseException, files: str = "its files") -> str:
    """The file that could not be written because of a full disk or quota; empty if the exception has another cause.

    If the exception names none: the folder of temporary files if that is full, otherwise `files`.
    """
    for each in causes(error):
        if isinstance(each, OSError) and each.errno in FULL:
            return f"no space left for {each.filename or _full_folder() or files}"
        # Ray turns an error that it can't pickle into text; SQLite raises its own error.
        if any(words in str(each) for words in (os.strerror(errno.ENOSPC), "database or disk is full")):
            return f"no space left for {_full_folder() or files}"
    return ""


def _full_folder() -> str:
    folder = tempfile.gettempdir()
    return f"temporary files in {folder}" if shutil.disk_usage(folder).free < BYTES_OF_A_FULL_DISK else ""


def oom_kills() -> int:
    """The number of processes that the kernel killed here for lack of memory; 0 if unknown."""
    if not os.access(_OOM_KILLS, os.R_OK):
        return 0
    counts = dict(line.split() for line in _OOM_KILLS.read_text("utf-8").splitlines())
    return int(counts.get("oom_kill", 0))


def error_of(trial: Trial) -> BaseException | None:
    """What the newest attempt of a Tune trial raised, as Ray wraps it; None if Ray Tune kept nothing."""
    path = trial.pickled_error_file
    # Written by this process a moment ago.
    return cloudpickle.loads(Path(path).read_bytes()) if path and Path(path).exists() else None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, what Ray wrapped in it or what it was raised from, and so on."""
    while error is not None:
        yield error
        error = _deeper(error)


def _deeper(error: BaseException) -> BaseException | None:
    """The exception that Ray wrapped, or that this one was raised from."""
    wrapped = getattr(error, "cause", None)
    return wrapped if isinstance(wrapped, BaseException) else error.__cause__ or error.__context__


def in_one_line(error: BaseException) -> str:
    """An exception's class, the first line of its text, and its notes, which say where it was raised."""
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}{notes}"

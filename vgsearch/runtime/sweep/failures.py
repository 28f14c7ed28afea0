"""The end of a trial by its exception: out of memory, no space left, lost with its process, or failed."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ray.exceptions import RayActorError, RayTaskError, WorkerCrashedError

from vgsearch.experiment.end import End

OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT)
BYTES_OF_A_FULL_DISK = 2**20
# torch's CPU allocator and CUDA libraries have no exception class for this; the last text is Ray's memory monitor's.
_OF_MEMORY = ("can't allocate memory", "CUDA out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "running low on memory")
_OOM_KILLS = Path("/sys/fs/cgroup/memory.events")


def end_of_error(error: BaseException) -> End:
    """The end of a trial that raised `error`, its reason in one line; a full disk interrupts it and halts the sweep."""
    if is_out_of_memory(error):
        return End("out_of_memory", _line(error))
    if full := full_disk(error):
        # If the disk is full for one trial, it is full for all.
        return End("interrupted", full, halts=True)
    return End("failed", _line(error))


def end_of_process(error: BaseException | None, oom_kills_before: int) -> End:
    """The end of a trial whose process raised `error` to Ray Tune, or died, after its last retry."""
    if error is None:
        return End("failed", "failed twice; see log.txt")
    died = isinstance(error, RayActorError | WorkerCrashedError) and not isinstance(error, RayTaskError)
    if died and oom_kills() > oom_kills_before:
        return End("out_of_memory", "its process died while the kernel killed processes for lack of memory")
    if died and not is_out_of_memory(error):
        return End("lost", f"its process or node died twice at one step: {_line(error)}")
    return end_of_error(_deeper(error) or error)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception, or its cause, means a lack of memory: of Python, of torch on any device, of Ray."""
    for each in _chain(error):
        if isinstance(each, MemoryError) or type(each).__name__ == "OutOfMemoryError":
            return True
        if any(words in str(each) for words in _OF_MEMORY):
            return True
    return False


def full_disk(error: BaseException, files: str = "its files") -> str:
    """The file that could not be written because of a full disk or quota; empty if the exception has another cause.

    If the exception names none: the folder of temporary files if that is full, otherwise `files`.
    """
    for each in _chain(error):
        if isinstance(each, OSError) and each.errno in OUT_OF_SPACE:
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


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = _deeper(error)


def _deeper(error: BaseException) -> BaseException | None:
    """The exception that Ray wrapped, or that this one was raised from."""
    wrapped = getattr(error, "cause", None)
    return wrapped if isinstance(wrapped, BaseException) else error.__cause__ or error.__context__


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"

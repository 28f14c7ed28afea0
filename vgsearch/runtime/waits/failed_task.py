"""Why a task of Ray's gave no result, in one line: what it raised, or that its process died."""

import ray


class TaskFailed(RuntimeError):
    """A task that a command cannot do without raised an error, or its process died; the message says which and why."""


def why_failed(error: ray.exceptions.RayError) -> str:
    """The error that the task raised, or how its process ended after Ray's last retry."""
    if isinstance(error, ray.exceptions.RayTaskError):
        return str(error.cause)
    said = next(iter(str(error).splitlines()), "").rstrip(".")
    return f"its process died each time it was started, perhaps for lack of memory ({type(error).__name__}: {said})"

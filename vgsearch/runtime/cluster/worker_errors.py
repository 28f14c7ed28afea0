"""The error of a Ray Train worker and where it was raised, in place of Ray's error about the whole group."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from ray.exceptions import RayError
from ray.train import WorkerGroupError

# Internals of Ray 2.60, which pyproject.toml pins: the errors of a worker that died or gave no answer.
from ray.train.v2._internal.exceptions import RayTrainError, WorkerHealthCheckFailedError


@contextmanager
def placed(rank: int) -> Iterator[None]:
    """On the worker `rank`: note in an error where it was raised, since its traceback does not leave the process."""
    try:
        yield
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        error.add_note(f"worker {rank}, {last.filename}:{last.lineno}")
        raise


def first_error(group: WorkerGroupError) -> BaseException:
    """The error of the worker that failed first: the others' connections to it broke."""
    errors = [error for _, error in sorted(group.worker_failures.items())]
    own = next((error for error in errors if not _follows(error)), errors[0])
    return own.health_check_failure if isinstance(own, WorkerHealthCheckFailedError) else own


def is_death(error: BaseException) -> bool:
    """Whether a worker's error is that of its process or node, not of the code that it ran."""
    return isinstance(error, RayError | RayTrainError)


def _follows(error: BaseException) -> bool:
    return isinstance(error, torch.distributed.DistError) or "/gloo/" in str(error)

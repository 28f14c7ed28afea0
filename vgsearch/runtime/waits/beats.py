"""Signs of life of processes that run tasks for a command: a counter in the key-value store of the cluster's head."""

import json
import os
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass

import ray

# Ray 2.60, which pyproject.toml pins, has no public store; an actor would take a process and 100 MB for each command.
from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_list, _internal_kv_put

from vgsearch.runtime.waits.processes import started, state_of

NAMESPACE = "vgsearch-beats"
SECONDS_BETWEEN_BEATS = 5.0
SECONDS_BEFORE_FIRST = 0.1
"""A shorter task gives no sign, and costs no request."""


@dataclass(frozen=True)
class Beat:
    """A sign of life: of which task, from which process of which node, and its number."""

    what: str
    pid: int
    began: int
    """When the process started, in ticks since the machine's boot: another process may get its id later."""
    node: str
    host: str
    number: int

    @property
    def process(self) -> str:
        return f"process {self.pid} on {self.host}"


@contextmanager
def beating(what: str) -> Iterator[None]:
    """Give signs of life while the block runs. A stopped process gives none; outside Ray nothing happens."""
    if not ray.is_initialized():
        yield
        return
    left = threading.Event()
    threading.Thread(target=_beat, args=(what, left), name="beating", daemon=True).start()
    try:
        yield
    finally:
        left.set()


def _beat(what: str, left: threading.Event) -> None:
    if left.wait(SECONDS_BEFORE_FIRST):
        return
    context = ray.get_runtime_context()
    key, pid = f"{context.get_job_id()}/{uuid.uuid4().hex}", os.getpid()
    fixed = what, pid, started(pid), context.get_node_id(), ray.util.get_node_ip_address()
    number = 0
    while True:
        number += 1
        # A head that does not answer is noticed by the driver; the next beat tries again.
        with suppress(ray.exceptions.RayError):
            _internal_kv_put(key, json.dumps(asdict(Beat(*fixed, number))), namespace=NAMESPACE)
        if left.wait(SECONDS_BETWEEN_BEATS):
            break
    with suppress(ray.exceptions.RayError):
        _internal_kv_del(key, namespace=NAMESPACE)


def beats(job: str) -> dict[str, Beat]:
    """The newest sign of life of each process of a job, by its key."""
    keys = [key.decode() for key in _internal_kv_list(f"{job}/", namespace=NAMESPACE)]
    found = {key: _internal_kv_get(key, namespace=NAMESPACE) for key in keys}
    return {key: Beat(**json.loads(value)) for key, value in found.items() if value}


def forget(key: str) -> None:
    """Delete the signs of a process that has ended."""
    _internal_kv_del(key, namespace=NAMESPACE)


def state_of_beat(beat: Beat) -> str:
    """The state of the process that beats, on its own node; empty if it has ended."""
    return state_of(beat.pid) if started(beat.pid) == beat.began else ""


def kill(beat: Beat) -> None:
    """Kill the process that beats, on its own node, unless it has ended. Ray starts its task again."""
    if started(beat.pid) == beat.began:
        with suppress(ProcessLookupError):
            os.kill(beat.pid, signal.SIGKILL)

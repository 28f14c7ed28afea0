"""The watch of a connection to Ray: a thread that notices when Ray itself is gone, and which processes are silent."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import ray

# Internals of Ray 2.60, which pyproject.toml pins: the processes of a local Ray.
from ray._private import worker as ray_worker

from vgsearch.runtime.waits.beats import Beat, beats, forget
from vgsearch.runtime.waits.processes import STOPPED, state_of
from vgsearch.runtime.waits.silence import Silences, kill_on_node, state_on_node
from vgsearch.runtime.waits.waiting import tell
from vgsearch.runtime.waits.workers import stopped_workers

SECONDS_BETWEEN_LOOKS = 5.0
LOOKS_BEFORE_LOST = 5
"""In which a process of Ray's is stopped, its head does not answer, or its node does not count as alive."""
SECONDS_TO_LEAVE = 15.0
"""Time for the main thread to end after Ray is lost, before the process ends without it.

All together less than the minute after which Ray itself ends a process whose head does not answer, without our line.
"""
SECONDS_OF_A_DEATH = 5.0
"""Between the death of Ray's workers and that of the raylet that ends them."""
SIGNAL = signal.SIGUSR2
REMEDY = "What is finished is kept; start the same command again, or resume the sweep."


class RayLost(RuntimeError):
    """Ray itself died or stopped answering, so nothing that the command waits for can come."""


class TaskStalled(RuntimeError):
    """A task's process was ended because it gave no sign of life."""


class _Watch:
    """Looks every few seconds; raises RayLost in the main thread."""

    def __init__(self) -> None:
        self.left, self._closed = threading.Event(), threading.Event()
        self.lost: RayLost | None = None
        self._leaving = threading.Lock()
        self.silences = Silences(state_on_node, kill_on_node)
        self._job, self._node = ray.get_runtime_context().get_job_id(), ray.get_runtime_context().get_node_id()
        self._n_suspect, self._asked_at, self._lost_node = 0, 0.0, ""

    def run(self) -> None:
        """Look at Ray itself until the connection is left."""
        while not self.left.wait(SECONDS_BETWEEN_LOOKS):
            if reason := self._death() or self._suspect():
                self._leave(RayLost(f"{reason}. {REMEDY}"))
                return

    def ask_head(self) -> None:
        """Ask the head for the node's state and the processes of tasks, until the connection is left."""
        while not self.left.wait(SECONDS_BETWEEN_LOOKS):
            # `run` notices a head that does not answer; the other errors come from a store that is being shut down.
            with suppress(ray.exceptions.RayError, AttributeError, ValueError):
                with self._asking():
                    self._lost_node = self._why_lost()
                    found = beats(self._job)
                known = {beat.pid for beat in found.values()}
                stopped = {key: beat for key, beat in self._stopped_workers().items() if beat.pid not in known}
                for key in self.silences.look(found | stopped, time.monotonic()):
                    if key in found:
                        forget(key)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        self._asked_at = time.monotonic()
        try:
            yield
        finally:
            self._asked_at = 0.0

    def _stopped_workers(self) -> dict[str, Beat]:
        """Those of a local Ray; on a cluster others may stop theirs."""
        raylet = next((process.pid for name, process in _own_processes() if name == "raylet"), None)
        return {} if raylet is None else stopped_workers(raylet, self._node, ray.util.get_node_ip_address())

    def _death(self) -> str:
        """Which of the processes that this process started for Ray has died, and how; empty if none."""
        for name, process in _own_processes():
            if (code := process.poll()) is not None:
                how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
                why = ", perhaps for lack of memory" if code == -signal.SIGKILL else ""
                return f"Ray's {name} (process {process.pid}) {how}{why}"
        return ""

    def _suspect(self) -> str:
        """Which part of Ray does not work for half a minute; empty if all do, or not for so long."""
        reason = _stopped() or self._unanswered() or self._lost_node
        self._n_suspect = self._n_suspect + 1 if reason else 0
        return reason if self._n_suspect >= LOOKS_BEFORE_LOST else ""

    def _unanswered(self) -> str:
        """Whether the head lets a question wait; it may live and yet hang, as when its shutdown does."""
        if not self._asked_at or time.monotonic() - self._asked_at < SECONDS_BETWEEN_LOOKS:
            return ""
        own = [f"Ray's {name} (process {process.pid})" for name, process in _own_processes() if name.startswith("head")]
        return f"{own[0] if own else 'the head of the cluster'} does not answer"

    def _why_lost(self) -> str:
        """Whether the cluster no longer counts this node."""
        try:
            alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        except (ray.exceptions.RayError, AttributeError, ValueError):
            return "the cluster's head does not answer"
        return "" if self._node in alive else "the Ray of this node has left the cluster: it died, or the head did"

    def _leave(self, error: RayLost) -> None:
        """Raise in the main thread; end the process if that does not close the connection in time."""
        with self._leaving:
            if self.left.is_set():
                return
            self.lost = error
            signal.pthread_kill(threading.main_thread().ident or 0, SIGNAL)
        if not self._closed.wait(SECONDS_TO_LEAVE):
            tell(f"error: {error}")
            os._exit(1)

    def close(self, shut_down: Callable[[], None]) -> None:
        """Stop looking, since Ray's processes are about to end, and shut down."""
        with self._leaving:
            self.left.set()
        try:
            shut_down()
        finally:
            self._closed.set()

    def raise_lost(self, signum: int, frame: FrameType | None) -> None:
        if self.lost is not None:
            raise self.lost


_current: list[_Watch] = []


def _own_processes() -> list[tuple[str, subprocess.Popen[bytes]]]:
    """The processes of a Ray that this process started, those without which nothing works, by name."""
    node = ray_worker._global_node
    if node is None:
        return []
    named = {"gcs_server": "head (gcs_server)", "raylet": "raylet"}
    return [
        (named[kind], info.process)
        for kind, infos in list(node.all_processes.items())
        if kind in named
        for info in infos
    ]


def _stopped() -> str:
    for name, process in _own_processes():
        if state_of(process.pid) in STOPPED:
            return (
                f"Ray's {name} (process {process.pid}) is stopped; `kill -CONT {process.pid}` continues such a process"
            )
    return ""


@contextmanager
def watched(shut_down: Callable[[], None]) -> Iterator[None]:
    """Watch Ray while the block runs, then call `shut_down`; raises RayLost in the main thread if Ray dies."""
    if threading.current_thread() is not threading.main_thread():
        try:
            yield
        finally:
            shut_down()
        return
    watch = _Watch()
    before = signal.signal(SIGNAL, watch.raise_lost)
    # Two threads: a head that does not answer keeps the one that asks it waiting.
    for look in (watch.run, watch.ask_head):
        threading.Thread(target=look, daemon=True).start()
    _current.append(watch)
    try:
        yield
    finally:
        watch.close(shut_down)
        _current.remove(watch)
        signal.signal(SIGNAL, before)


def local_ray_ends() -> bool:
    """Whether a Ray that this process started ends within seconds: then its workers have died with it."""
    own, until = _own_processes(), time.monotonic() + SECONDS_OF_A_DEATH
    while own and time.monotonic() < until:
        if any(process.poll() is not None for _, process in own):
            return True
        time.sleep(0.1)
    return False


@contextmanager
def stopped_ones_killed() -> Iterator[None]:
    """Kill what is stopped of a local Ray while the block ends Ray: a stopped process would never let it end."""
    own, left = _own_processes(), threading.Event()

    def look() -> None:
        while not left.wait(1.0):
            for name, process in own:
                if process.poll() is None and state_of(process.pid) in STOPPED:
                    tell(f"Ray's {name} (process {process.pid}) is stopped and cannot end: killed")
                    process.kill()

    threading.Thread(target=look, daemon=True).start()
    try:
        yield
    finally:
        left.set()


def state_of_tasks(what: str) -> Callable[[], str]:
    """A function that says where tasks whose name starts with `what` run, or that they wait for a free CPU."""

    def state() -> str:
        running = [beat.process for watch in _current for beat in watch.silences.running(what)]
        return ", ".join(running[:3]) or not_started()

    return state


def not_started() -> str:
    """That a task waits, which CPUs and GPUs are free, and which tasks other than trials run meanwhile."""
    tasks = "".join(f"; {task}" for watch in _current for task in watch.silences.tasks())
    with suppress(ray.exceptions.RayError):
        free, whole = ray.available_resources(), ray.cluster_resources()
        shares = [f"{free.get(name, 0):g} of {whole[name]:g} {name}s" for name in ("CPU", "GPU") if whole.get(name)]
        return f"not started; {' and '.join(shares)} are free{tasks}"
    return f"not started{tasks}"


def why_ended(what: str) -> str:
    """Why a task's process was ended; empty if it was not."""
    return next((watch.silences.ended[what] for watch in _current if what in watch.silences.ended), "")

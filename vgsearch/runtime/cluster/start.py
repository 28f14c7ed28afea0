"""Ray's start: an address, a folder or a machine that does not work is one line with the remedy, in bounded time."""

import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import ray

# Internals of Ray 2.60, which pyproject.toml pins.
from ray._private import ray_constants, services, utils
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR

from vgsearch.runtime import HIDDEN_GPUS
from vgsearch.runtime.cluster.cpus import usable_cpus
from vgsearch.runtime.cluster.signals import spared_by_hang_ups
from vgsearch.runtime.cluster.temporary import unusable_folder
from vgsearch.runtime.cluster.token import make_private
from vgsearch.runtime.waits.processes import STOPPED, children, descendants, end, short_name, state_of
from vgsearch.runtime.waits.waiting import tell, waiting
from videogan.config import ConfigurationError

SECONDS_TO_CONNECT = 10.0
SECONDS_TO_START = 180.0
"""Ray's own limit, 30 seconds, is too short for a busy machine."""
MOST_CONNECTIONS = 5
"""Ray tries 20 times to connect to a cluster, and waits up to 31 seconds for each answer."""
SECONDS_OF_CONNECTIONS = 31.0 * MOST_CONNECTIONS
MOST_STARTS = 3
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""The start of an HTTP/2 connection and an empty SETTINGS frame (RFC 9113, sections 3.4 and 6.5)."""
SETTINGS = 4
REMEDY = "Try again when the machine is less busy; `vgsearch doctor` checks it."
EXPECTED = "the HOST:PORT of a cluster's head, such as 10.0.0.1:6379, or auto"


class RayNotStarted(RuntimeError):
    """Ray did not start on this machine."""


class RayTooSlow(RayNotStarted):
    """Ray's start took too long, or its raylet died on the way, as on a busy machine: a second one may work."""


def start_ray(address: str | None, **options: Any) -> bool:
    """Connect to the cluster at `address`, or RAY_ADDRESS, else start a local Ray; returns whether it is a cluster.

    A local Ray listens on loopback only, and its start is tried again if it was too slow or its raylet died. Raises
    ConfigurationError for an address without a cluster and for a folder that Ray cannot use, and RayNotStarted.
    """
    options |= {"log_to_driver": False, "logging_level": logging.ERROR}
    source = f"--address {address}" if address else f"RAY_ADDRESS={os.environ.get('RAY_ADDRESS')}"
    address = address or os.environ.get("RAY_ADDRESS")
    is_cluster = bool(address) and address != "local"
    make_private(create=not is_cluster)
    if is_cluster:
        found = _reachable(address or "", source)
        options.setdefault("runtime_env", {"env_vars": _variables_of_workers()})
        ends = f"it gives up after about {SECONDS_OF_CONNECTIONS:.0f} s; Ctrl-C stops"
        with waiting(f"the cluster at {found}", ends), _few_connections(), _own_sigterm(), spared_by_hang_ups():
            _init(found, source, options)
        return True
    if problem := unusable_folder():
        raise ConfigurationError(problem)
    # No dashboard: it takes a gigabyte, and nothing here needs its State API (see sweep/placement_groups.py).
    options |= {"include_dashboard": False, "num_cpus": usable_cpus()}
    ends = f"it gives up {SECONDS_TO_START:.0f} s after its last process began; Ctrl-C stops"
    with (
        waiting("Ray's start", ends, _stopped_parts),
        _own_sigterm(),
        _on_loopback(),
        _patient_start(),
        spared_by_hang_ups(),
    ):
        _init_until_it_works(options)
    return False


def _init_until_it_works(options: dict[str, Any]) -> None:
    """Start a local Ray, up to MOST_STARTS times if its start takes too long or its raylet dies on the way."""
    _reap_dead_parts()
    for number in range(1, MOST_STARTS + 1):
        before = descendants(os.getpid())
        try:
            _init("local", "", options)
            return
        except RayTooSlow as error:
            end(descendants(os.getpid()) - before)
            if number == MOST_STARTS:
                raise
            tell(f"{str(error).removesuffix(REMEDY)}Starting it again ({number + 1} of {MOST_STARTS}).")


def _reap_dead_parts() -> None:
    """Reap the parts of an earlier Ray that died: `ray_died` would take them for parts of the next one."""
    parts = _parts_of_ray()
    end(child for child in children(os.getpid()) if child.pid in parts and state_of(child.pid) == "Z")


def _init(address: str, source: str, options: dict[str, Any]) -> None:
    try:
        ray.init(address=address, **options)
    except (Exception, SystemExit) as error:  # Ray raises Exception itself, and exits where it cannot write
        ray.shutdown()
        raise _in_one_line(error, source) from error


def _variables_of_workers() -> dict[str, str]:
    """The environment of workers on a cluster, which do not inherit this process's; without what their job has set."""
    job = json.loads(os.environ.get(RAY_JOB_CONFIG_JSON_ENV_VAR, "{}")).get("runtime_env") or {}
    return {name: os.environ[name] for name in (HIDDEN_GPUS,) if name not in job.get("env_vars", {})}


def _reachable(address: str, source: str) -> str:
    """The address of a server that speaks Ray's protocol; raises ConfigurationError if there is none."""
    try:
        found = services.get_ray_address_from_environment(address, None) if address == "auto" else address
    except ConnectionError:
        raise ConfigurationError(
            f"{source}: no Ray runs on this machine; `ray start` it, or leave the address out."
        ) from None
    scheme, _, rest = found.rpartition("://")
    host, _, port = rest.rpartition(":")
    if scheme not in ("", "ray") or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigurationError(f"{source}: must be {EXPECTED}; leave it out for a local Ray.")
    if problem := no_answer(host.strip("[]"), int(port)):
        raise ConfigurationError(
            f"{source}: no cluster answers there ({problem}). Expected {EXPECTED}; start one with "
            "`ray start --head`, or leave the address out for a local Ray."
        )
    # Ray connects to this machine's address in the network, also where 127.0.0.1 is asked for.
    if not scheme and (there := services.resolve_ip_for_localhost(host)) != host and no_answer(there, int(port)):
        raise ConfigurationError(
            f"{source}: the Ray there listens on {host} only, as the private Ray of one program does; expected "
            f"{EXPECTED}; start a cluster with `ray start --head`, or leave the address out for a local Ray."
        )
    return found


def no_answer(host: str, port: int) -> str:
    """Why no gRPC server answers at a port within seconds, as Ray's would; empty if one does."""
    try:
        with socket.create_connection((host, port), SECONDS_TO_CONNECT) as connection:
            if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
                return ""  # it would answer only to an encrypted message
            connection.settimeout(SECONDS_TO_CONNECT)
            connection.sendall(PREFACE)
            answer = connection.recv(9)
    except TimeoutError:
        return f"no answer within {SECONDS_TO_CONNECT:.0f} s"
    except OSError as error:
        return error.strerror or str(error)
    return "" if len(answer) > 3 and answer[3] == SETTINGS else "another program answers"


@contextmanager
def replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    """Set an attribute of a module of Ray during the block. Any: Ray's own."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def _patient_start() -> AbstractContextManager[None]:
    """Let a local Ray register within SECONDS_TO_START: Ray asks its head for 30 seconds only."""
    return replaced(services, "get_node", _patiently(services.get_node))


def _few_connections() -> AbstractContextManager[None]:
    """Let Ray give up on a cluster that does not answer within minutes, rather than a quarter of an hour."""
    return replaced(ray_constants, "NUM_REDIS_GET_RETRIES", MOST_CONNECTIONS)


def _on_loopback() -> AbstractContextManager[None]:
    """Let a local Ray listen on 127.0.0.1 only, as it does on macOS: on Linux it would be open to the network."""
    return replaced(ray_constants, "ENABLE_RAY_CLUSTER", False)


def _own_sigterm() -> AbstractContextManager[None]:
    """Keep the command's own handler of SIGTERM: Ray's would end the command as if its start had failed."""
    return replaced(utils, "set_sigterm_handler", lambda handler: None)


def _patiently(ask: Callable[..., Any]) -> Callable[..., Any]:
    def asked(*arguments: Any) -> Any:
        deadline = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                return ask(*arguments)
            except RuntimeError:  # not registered yet
                if time.monotonic() > deadline or ray_died():
                    raise
                time.sleep(0.1)

    return asked


def ray_died() -> bool:
    """Whether the head or the raylet that this process started has ended: a raylet waits 15 s for its agents."""
    return any(state_of(pid) == "Z" for pid in _parts_of_ray())


def _stopped_parts() -> str:
    stopped = [f"`kill -CONT {pid}` continues its {name}" for pid, name in _parts_of_ray().items()
               if state_of(pid) in STOPPED]  # fmt: skip
    return ", ".join(stopped)


def _parts_of_ray() -> dict[int, str]:
    """The head and the raylet that this process has started, also those that have ended, by process id."""
    started = {pid: short_name(pid) for pid, _ in children(os.getpid())}
    return {pid: name for pid, name in started.items() if name in ("raylet", "gcs_server")}


def _in_one_line(error: BaseException, source: str) -> Exception:
    """What a user reads of an error of ray.init."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if source:
        return ConfigurationError(f"{source}: could not connect ({said}).")
    if isinstance(error, OSError) and error.strerror:
        return ConfigurationError(
            f"{error.filename or 'a file'}: Ray cannot write ({error.strerror}); set RAY_TMPDIR to a folder of yours."
        )
    if "timed out during startup" in said or ray_died():
        load = " ".join(f"{n:.0f}" for n in os.getloadavg()[:1])
        return RayTooSlow(
            f"Ray did not start: its head or raylet died, or gave no answer within {SECONDS_TO_START:.0f} s; "
            f"load {load} on {usable_cpus()} CPUs. {REMEDY}"
        )
    return RayNotStarted(f"Ray did not start: {said}. {REMEDY}")

"""Ray's start: an address without a cluster, or a folder that Ray cannot use, is one line with the remedy."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ray._private import services, utils

from tests.waiting import wait_until
from vgsearch.runtime import HIDDEN_GPUS
from vgsearch.runtime.cluster import start, temporary
from vgsearch.runtime.cluster.cpus import usable_cpus
from vgsearch.runtime.cluster.start import (
    SETTINGS,
    RayTooSlow,
    _in_one_line,
    _patient_start,
    _stopped_parts,
    no_answer,
    ray_died,
    start_ray,
)
from vgsearch.runtime.cluster.temporary import unusable_folder
from vgsearch.runtime.waits.processes import state_of
from videogan.config import ConfigurationError


@contextmanager
def server(answer: bytes | None) -> Iterator[int]:
    """Listens on loopback, answers each connection with some bytes, or with nothing; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                held.append(connection)
                if answer is not None:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in held:
            connection.close()


@pytest.mark.parametrize("address", ["nonsense", "http://127.0.0.1:8265", "10.0.0.1", "a:b", ":6379", "h:70000"])
@pytest.mark.parametrize("by_option", [True, False])
def test_a_text_that_is_no_address_is_refused_with_one(address: str, by_option: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_ADDRESS", "" if by_option else address)
    with pytest.raises(ConfigurationError) as error:
        start_ray(address if by_option else None)
    assert str(error.value).startswith(
        f"{'--address ' if by_option else 'RAY_ADDRESS='}{address}: must be the HOST:PORT"
    )
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_port_without_a_server_is_refused_at_once(scheme: str):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(
        ConfigurationError, match=rf"--address {scheme}127.0.0.1:{port}: no cluster answers there \(Conn"
    ):
        start_ray(f"{scheme}127.0.0.1:{port}")


def test_a_server_of_another_kind_or_one_that_stays_silent_is_no_cluster(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(start, "SECONDS_TO_CONNECT", 0.2)
    with server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert no_answer("127.0.0.1", port) == "another program answers"
    with server(None) as port:
        assert no_answer("127.0.0.1", port).startswith("no answer within ")
    with server(bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])) as port:
        assert no_answer("127.0.0.1", port) == ""


def test_a_private_ray_that_listens_on_loopback_only_is_no_cluster(monkeypatch: pytest.MonkeyPatch):
    """Ray turns 127.0.0.1 into this machine's address in the network, and would wait for minutes there."""
    monkeypatch.setattr(services, "get_node_ip_address", lambda: "127.0.0.2")
    with (
        server(bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])) as port,
        pytest.raises(ConfigurationError, match=r"the Ray there listens on 127.0.0.1 only, as the private Ray of one"),
    ):
        start_ray(f"127.0.0.1:{port}")


@pytest.mark.slow
def test_a_cluster_that_says_hello_and_then_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(start, "MOST_CONNECTIONS", 1)
    monkeypatch.setattr(services, "get_node_ip_address", lambda: "127.0.0.1")
    with (
        server(bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])) as port,
        pytest.raises(ConfigurationError, match=rf"--address 127.0.0.1:{port}: could not connect \("),
    ):
        start_ray(f"127.0.0.1:{port}")


def test_auto_without_a_ray_on_this_machine_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setattr(services, "find_gcs_addresses", set)  # another user's Ray may run on this machine
    with pytest.raises(ConfigurationError, match="RAY_ADDRESS=auto: no Ray runs on this machine; `ray start` it, or"):
        start_ray(None)


def test_a_folder_whose_sockets_have_too_long_paths_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    assert unusable_folder() == ""
    monkeypatch.setenv("RAY_TMPDIR", "/" + 89 * "t")
    with pytest.raises(
        ConfigurationError, match="must have at most 39 bytes for Ray's sockets, got 90; set RAY_TMPDIR to"
    ):
        start_ray("local")


def test_a_full_folder_of_temporary_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(temporary, "LEAST_FREE_BYTES", 2**60)
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    with pytest.raises(ConfigurationError, match=r"^/tmp: the folder for temporary files has .* free, but Ray needs"):
        start_ray("local")


def test_cpus_are_those_of_the_affinity(tmp_path: Path):
    usable = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(usable)})
        assert usable_cpus(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, usable)
    assert usable_cpus(tmp_path) == len(usable)


@pytest.mark.parametrize(("quota", "n_cpus"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None)])
def test_cpus_are_at_most_those_of_the_containers_quota(tmp_path: Path, quota: str, n_cpus: int | None):
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert usable_cpus(tmp_path) == (n_cpus or len(os.sched_getaffinity(0)))


def test_a_local_ray_may_register_late_and_ray_s_own_limit_returns(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def ask(*arguments: str) -> str:
        asked.append(arguments)
        if len(asked) < 4:
            raise RuntimeError("not registered")
        return "node"

    monkeypatch.setattr(services, "get_node", ask)
    with _patient_start():
        assert services.get_node("head", "id") == "node"
    assert asked == [("head", "id")] * 4
    assert services.get_node is ask
    monkeypatch.setattr(start, "SECONDS_TO_START", 0.0)
    asked.clear()
    with _patient_start(), pytest.raises(RuntimeError, match="not registered"):
        services.get_node("head", "id")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            Exception("The current node timed out during startup. This could happen"),
            "Ray did not start: its head or raylet died, or gave no answer within 180 s; load ",
        ),
        (
            PermissionError(13, "Permission denied", "/r/ray"),
            "/r/ray: Ray cannot write (Permission denied); set RAY_TMPDIR",
        ),
        (RuntimeError("\n first line\nsecond"), "Ray did not start: first line. Try again"),
        (SystemExit(), "Ray did not start: SystemExit. Try again"),
    ],
)
def test_an_error_of_ray_s_start_is_one_line_with_the_remedy(error: BaseException, line: str):
    said = str(_in_one_line(error, ""))
    assert said.startswith(line)
    assert "\n" not in said
    assert str(_in_one_line(error, "--address a:1")).startswith("--address a:1: could not connect (")


def test_workers_of_a_cluster_get_the_variable_that_hides_gpus_unless_their_job_sets_it(monkeypatch):
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    assert start._variables_of_workers() == {HIDDEN_GPUS: "1"}
    job = {"runtime_env": {"env_vars": {"OTHER": "x"}}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(job))
    assert start._variables_of_workers() == {HIDDEN_GPUS: "1"}
    job["runtime_env"]["env_vars"][HIDDEN_GPUS] = "0"  # Ray refuses a variable that both set
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(job))
    assert start._variables_of_workers() == {}


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_a_part_of_ray_that_died_is_not_waited_for(tmp_path: Path, name: str):
    assert not ray_died()
    shutil.copy("/bin/true", tmp_path / name)
    with subprocess.Popen([tmp_path / name]):
        wait_until(ray_died, lambda: "no dead part of Ray was seen", 60)
    assert not ray_died()


def test_a_part_that_died_with_an_earlier_ray_does_not_look_like_the_death_of_the_next(tmp_path: Path):
    shutil.copy("/bin/true", tmp_path / "raylet")
    with subprocess.Popen([tmp_path / "raylet"]):
        wait_until(ray_died, lambda: "no dead part of Ray was seen", 60)
        start._reap_dead_parts()
        assert not ray_died()


def test_a_stopped_raylet_is_named_while_ray_starts(tmp_path: Path):
    shutil.copy("/bin/sleep", tmp_path / "raylet")
    with subprocess.Popen([tmp_path / "raylet", "600"]) as raylet:
        assert _stopped_parts() == ""
        raylet.send_signal(signal.SIGSTOP)
        wait_until(_stopped_parts, lambda: "no stopped raylet was seen", 60)
        assert _stopped_parts() == f"`kill -CONT {raylet.pid}` continues its raylet"
        raylet.kill()


def test_a_start_that_takes_too_long_is_tried_again_without_the_processes_of_the_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    started: list[subprocess.Popen[bytes]] = []

    def slow(**options: Any) -> None:
        started.append(subprocess.Popen(["sleep", "600"]))
        if len(started) < 3:
            raise Exception("The current node timed out during startup. This could happen")

    monkeypatch.setattr(start.ray, "init", slow)
    assert not start_ray("local")
    first, second, third = started
    assert (state_of(first.pid), state_of(second.pid)) == ("", "")
    assert third.poll() is None
    third.kill()
    third.wait()
    told = capsys.readouterr().err.splitlines()
    assert [line[-28:] for line in told] == [" Starting it again (2 of 3).", " Starting it again (3 of 3)."]
    monkeypatch.setattr(start.ray, "init", ray_that_never_starts)
    with pytest.raises(RayTooSlow, match="Ray did not start: its head or raylet died, or gave no answer within 180 s"):
        start_ray("local")


def ray_that_never_starts(**options: Any) -> None:
    raise Exception("The current node timed out during startup")


def test_ray_s_handler_of_sigterm_does_not_replace_the_command_s_while_ray_starts(monkeypatch: pytest.MonkeyPatch):
    def init(**options: Any) -> None:
        utils.set_sigterm_handler(lambda signum, frame: None)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(start.ray, "init", init)
    start_ray("local")
    assert signal.getsignal(signal.SIGTERM) is before

"""doctor names the ports that are in use, and what protects a running Ray."""

import socket
from pathlib import Path

import pytest

from vgsearch.commands import machine
from vgsearch.commands.machine import RAY_PORTS, MachineCheck, diagnose


def found(what: str) -> MachineCheck:
    (check,) = [check for check in diagnose() if check.what == what]
    return check


def ports() -> MachineCheck:
    return found("ports")


def test_a_port_of_ray_in_use_is_named_and_does_not_block():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        taken = other.getsockname()[1]
        RAY_PORTS[taken] = "the test's"
        try:
            check = ports()
        finally:
            del RAY_PORTS[taken]
    assert not check.ok
    assert not check.blocks
    assert f"{taken} (the test's)" in check.finding
    assert str(taken) not in ports().finding


def test_a_token_that_others_may_read_is_noted_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "my token"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(file))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    assert (found("token").ok, found("token").finding[:8]) == (True, "none yet")
    file.touch(0o600)
    assert (found("token").ok, found("token").finding) == (True, f"{file}, readable by you only")
    file.chmod(0o640)
    assert (found("token").ok, found("token").finding.endswith(f"chmod 600 '{file}'")) == (False, True)


def test_doctor_says_what_other_machines_reach(monkeypatch: pytest.MonkeyPatch):
    assert (found("network").ok, "asks for the token" in found("network").finding) == (True, True)
    monkeypatch.setenv("RAY_enable_metrics_collection", "1")
    assert (found("network").ok, "metrics port asks for none" in found("network").finding) == (False, True)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert "asks for no token" in found("network").finding


def test_small_shared_memory_is_a_note_with_the_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "LEAST_SHARED_MEMORY_GB", 1e9)
    assert (found("memory").ok, found("memory").blocks) == (False, False)
    assert found("memory").finding.endswith("Ray keeps objects on the disk instead; docker run --shm-size=2g")
    monkeypatch.setattr(machine, "LEAST_SHARED_MEMORY_GB", 0)
    assert found("memory").ok

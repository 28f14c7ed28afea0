"""No Ray runs without a token unless the user says so, and only the user can read the token."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import typer

from vgsearch import cli
from vgsearch.runtime.cluster.token import make_private, refuse_no_token
from videogan.config import ConfigurationError

START_RAY = (
    "tune mvt_tsa",
    "train mvt_tsa",
    "study mvt_tsa",
    "resume x",
    "confirm x",
    "evaluate",
    "data import x",
    "data check x",
)


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "ray" / "token"))
    return tmp_path / "ray" / "token"


@pytest.mark.parametrize("command", START_RAY)
def test_each_command_that_starts_ray_refuses_a_ray_without_a_token(command: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(ConfigurationError, match=r"^RAY_AUTH_MODE=disabled: whoever .* accept that with --insecure"):
        typer.main.get_command(cli.app)(command.split(), standalone_mode=False)


def test_only_insecure_accepts_it_and_tells_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    for written in ("token", "TOKEN"):
        monkeypatch.setenv("RAY_AUTH_MODE", written)
        refuse_no_token(insecure=False)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("RAY_AUTH_MODE", "Disabled")
    refuse_no_token(insecure=True)
    assert capsys.readouterr().err.startswith("note: RAY_AUTH_MODE=Disabled: whoever reaches")


def test_a_token_is_made_once_for_its_user_only(file: Path):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: make_private(create=True), range(8)))
    token = file.read_text()
    assert (len(bytes.fromhex(token)), mode(file), len(list(file.parent.iterdir()))) == (32, 0o600, 1)
    file.chmod(0o644)  # as Ray makes it
    make_private(create=True)
    assert (file.read_text(), mode(file)) == (token, 0o600)


def test_no_token_is_made_for_a_cluster_or_beside_one_in_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch):
    make_private(create=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    make_private(create=True)
    assert not file.exists()


@pytest.mark.parametrize("home", ["a file", "nowhere"])
def test_a_token_that_cannot_be_made_is_told_with_the_way_out(file: Path, home: str, monkeypatch: pytest.MonkeyPatch):
    if home == "nowhere":
        monkeypatch.delenv("RAY_AUTH_TOKEN_PATH")
        monkeypatch.setenv("HOME", "/proc/nowhere")
    else:
        file.parent.touch()
    with pytest.raises(
        ConfigurationError, match=r"can't be read or made: .* a file that can be written in RAY_AUTH_TOKEN_P"
    ):
        make_private(create=True)

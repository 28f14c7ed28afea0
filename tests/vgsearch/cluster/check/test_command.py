"""The commands `vgsearch cluster init` and `vgsearch cluster check`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.vgsearch.cluster.check.broken_files import BROKEN, HERE
from vgsearch.cli import app
from videogan.config import ConfigurationError


def broken(name: str, folder: Path) -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(BROKEN[name].text)
    return file


def run(*arguments: str | Path):
    return CliRunner().invoke(app, ["cluster", *map(str, arguments)])


def test_init_fills_placeholders_and_lists_the_rest(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    answer = run("init", "gcp", "--out", file, "--fill", "BUCKET=clips", "--fill", "FILL_PROJECT=sweeps")
    assert answer.exit_code == 0
    assert "left to fill in: FILL_IMAGE" in answer.stdout
    assert "gs://clips/cache" in file.read_text()
    assert "vgsearch-worker@sweeps.iam" in file.read_text()
    assert "Fill in BUCKET and each" in file.read_text(), "comments stay"


def test_init_never_overwrites(tmp_path: Path):
    file = tmp_path / "aws.yaml"
    file.write_text("mine")
    answer = run("init", "aws", "--out", file)
    assert isinstance(answer.exception, ConfigurationError)
    assert "aws.yaml exists and may contain your changes" in str(answer.exception)
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["init", "aw"], "did you mean 'aws'"),
        (["init", "aws", "--fill", "BUCKE=x"], "did you mean 'BUCKET'"),
        (["init", "aws", "--fill", "BUCKET"], "expected NAME=value"),
        (["check", "nowhere.yaml"], "nowhere.yaml"),
        (["check", __file__, "--budget", "pape"], "did you mean 'paper'"),
        (["check", __file__, "--space", "mvt_tsb"], "no search space 'mvt_tsb'"),
    ],
)
def test_a_wrong_argument_is_refused_with_the_remedy(arguments: list[str], message: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = run(*arguments)
    assert isinstance(answer.exception, ConfigurationError)
    assert message in str(answer.exception)
    assert not list(tmp_path.iterdir())


def test_check_prints_a_line_for_each_finding_and_exits_1(tmp_path: Path):
    answer = run("check", broken("aws-open-ports", tmp_path), "--space", "mvt_tsa")
    assert answer.exit_code == 1
    assert "aws-open-ports.yaml:3  open-ports  no port but 22 may be open to the internet, got" in answer.stdout
    assert "aws-open-ports.yaml:19  gpu-memory  a GPU of worker group 'gpu' must hold the " in answer.stdout
    assert "got A10G with 24.1 GB. Run it with --set loop.checkpoint_activations=true, or choose L40S" in answer.stdout
    assert answer.stdout.splitlines()[-1].endswith("2 to fix, no notes")


def test_check_with_only_notes_exits_0(tmp_path: Path):
    answer = run("check", broken("aws-placeholder", tmp_path))
    assert answer.exit_code == 0
    assert answer.stdout.splitlines()[-1].endswith("ok, 1 note")


def test_check_with_json_prints_every_field_of_a_finding(tmp_path: Path):
    answer = run("check", broken("kuberay-privileged", tmp_path), "--json")
    (record,) = json.loads(answer.stdout)
    assert set(record) == {"file", "rule", "line", "must", "came", "remedy", "is_note"}
    assert record["rule"] == "privileged"


def test_check_reaches_no_network_and_loads_no_sdk_of_a_cloud():
    code = (
        "import socket, sys\n"
        "def refuse(*_): raise AssertionError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from typer.testing import CliRunner\n"
        "from vgsearch.cli import app\n"
        "for name in sys.argv[1:]:\n"
        "    answer = CliRunner().invoke(app, ['cluster', 'check', name])\n"
        "    assert answer.exit_code == 0, answer.output + repr(answer.exception)\n"
        "assert not {'boto3', 'botocore', 'googleapiclient', 'google.oauth2', 'kubernetes', 'ray', 'torch'} & set(sys.modules)\n"
    )
    files = sorted((HERE / "correct").glob("*.yaml"))
    subprocess.run([sys.executable, "-c", code, *files], check=True)

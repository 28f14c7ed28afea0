"""`vgsearch cluster init` and `check`, as they are typed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vgsearch.cli import app
from videogan.config import ConfigurationError

BROKEN = Path(__file__).parent / "broken"


def typed(*arguments: str | Path):
    return CliRunner().invoke(app, ["cluster", *map(str, arguments)])


def test_init_fills_in_and_tells_what_is_left(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    told = typed("init", "gcp", "--out", file, "--fill", "BUCKET=clips", "--fill", "FILL_PROJECT=sweeps")
    assert told.exit_code == 0
    assert "left to fill in: FILL_IMAGE" in told.stdout
    assert "gs://clips/cache" in file.read_text()
    assert "vgsearch-worker@sweeps.iam" in file.read_text()
    assert "to fill in: BUCKET and each" in file.read_text().replace("\n# ", " ")


def test_init_never_overwrites(tmp_path: Path):
    file = tmp_path / "aws.yaml"
    file.write_text("mine")
    told = typed("init", "aws", "--out", file)
    assert isinstance(told.exception, ConfigurationError)
    assert "aws.yaml exists and may hold your changes" in str(told.exception)
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["init", "aw"], "did you mean 'aws'"),
        (["init", "aws", "--fill", "BUCKE=x"], "did you mean 'BUCKET'"),
        (["init", "aws", "--fill", "BUCKET"], "expected NAME=value"),
        (["check", "nowhere.yaml"], "nowhere.yaml"),
        (["check", __file__, "--budget", "pape"], "did you mean 'paper'"),
        (["check", __file__, "--space", "mvt_tsb"], "no search space 'mvt_tsb'"),
    ],
)
def test_a_wrong_word_is_told_with_its_remedy(arguments: list[str], told: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = typed(*arguments)
    assert isinstance(answer.exception, ConfigurationError)
    assert told in str(answer.exception)
    assert not list(tmp_path.iterdir())


def test_check_prints_a_line_for_each_finding_and_exits_1():
    told = typed("check", BROKEN / "aws-open-ports.yaml", "--space", "mvt_tsa")
    assert told.exit_code == 1
    assert "aws-open-ports.yaml:4  open-ports  no port but 22 may be open to the world, got" in told.stdout
    assert told.stdout.splitlines()[-1].endswith("1 to fix, no notes")


def test_check_of_notes_alone_exits_0():
    told = typed("check", BROKEN / "aws-placeholder.yaml")
    assert told.exit_code == 0
    assert told.stdout.splitlines()[-1].endswith("ok, 1 note(s)")


def test_check_tells_programs_every_part_of_a_finding():
    told = typed("check", BROKEN / "kuberay-privileged.yaml", "--json")
    (record,) = json.loads(told.stdout)
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
        "assert not {'boto3', 'botocore', 'googleapiclient', 'google.oauth2', 'kubernetes', 'torch'} & set(sys.modules)\n"
    )
    files = sorted((Path(__file__).parent / "correct").glob("*.yaml"))
    subprocess.run([sys.executable, "-c", code, *files], check=True)

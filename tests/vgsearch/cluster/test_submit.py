"""`vgsearch submit` sends only commands that tune or resume accept, with no path of this machine."""

import uuid
from pathlib import Path

import pytest
from typer.main import get_command

from vgsearch.cli import app
from vgsearch.cluster import submit
from vgsearch.space.space import load_space
from videogan.config import ConfigurationError
from videogan.storage.places import place

COMMANDS = get_command(app).commands


def remote_command(space: str, options: list[str]) -> submit.RemoteCommand:
    return submit.remote_command(space, options, COMMANDS)


def test_a_space_and_its_options_are_sent_unchanged_with_the_heads_address():
    command = remote_command(
        "mvt_tsa", ["--out", "/mnt/runs", "--data", "s3://b/d", "--set", "loop.n_steps=5", "--name", "x"]
    )
    assert command.arguments == [
        "tune", "mvt_tsa", "--out", "/mnt/runs", "--data", "s3://b/d", "--set", "loop.n_steps=5", "--name", "x",
        "--address", "auto",
    ]  # fmt: skip
    assert command.space_file is None
    assert command.experiment == "/mnt/runs/x"


def test_the_experiments_name_is_chosen_before_submission(s3_bucket: str):
    out = f"{s3_bucket}/{uuid.uuid4().hex[:8]}"
    (place(out) / "mvt_tsa-004/sweep.yaml").put(b"")
    command = remote_command("mvt_tsa", ["--out", out])
    assert command.experiment == f"{out}/mvt_tsa-005"
    assert command.arguments[-4:] == ["--name", "mvt_tsa-005", "--address", "auto"]


def test_a_users_own_space_is_sent_as_its_file_only(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text((Path(__file__).parents[3] / "search_spaces/mvt_tsa.yaml").read_text())
    assert load_space(str(file)).name == "mvt_tsa"
    command = remote_command(str(file), ["--out", "/mnt/runs"])
    assert command.arguments[:2] == ["tune", "mine.yaml"]
    assert command.space_file == file


def test_an_experiments_address_is_resumed(s3_bucket: str):
    address = f"{s3_bucket}/{uuid.uuid4().hex[:8]}/mvt-001"
    (place(address) / "ledger/000000000-000000000.jsonl").put(b"{}\n")
    command = remote_command(address, ["--trials", "+4"])
    assert command.arguments == ["resume", address, "--trials", "+4", "--address", "auto"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], r"--out runs is a folder of this machine; name one that the whole cluster sees"),
        (["--out", "/mnt/runs", "--data", "data/mine"], r"--data data/mine is a folder of this machine"),
        (["--out", "/mnt/runs", "--warm-start", "runs/old"], r"--warm-start runs/old is a folder of this machine"),
        (["--out", "/mnt/runs", "--storage", "s.journal"], r"--storage s.journal is a folder of this machine"),
        (["--out", "/mnt/runs", "--storage", "postgresql://u:pw@h/d"], r"holds a password"),
        (["--out", "/mnt/runs", "--trails", "3"], r"No such option: --trails.*see vgsearch tune --help"),
        (["--out", "/mnt/runs", "--trials", "many"], r"Invalid value for '--trials': .*valid integer"),
    ],
)
def test_a_command_that_cannot_work_on_the_cluster_is_refused(options: list[str], message: str):
    with pytest.raises(ConfigurationError, match=message):
        remote_command("mvt_tsa", options)

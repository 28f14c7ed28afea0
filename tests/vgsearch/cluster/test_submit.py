"""What is sent to a cluster is what tune would take, and names nothing that only this machine has."""

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


def as_typed_there(space: str, options: list[str]) -> submit.Typed:
    return submit.as_typed_there(space, options, COMMANDS)


def test_a_space_and_its_options_go_as_typed_with_the_heads_own_address():
    typed = as_typed_there(
        "mvt_tsa", ["--out", "/mnt/runs", "--data", "s3://b/d", "--set", "loop.n_steps=5", "--name", "x"]
    )
    assert typed.arguments == [
        "tune", "mvt_tsa", "--out", "/mnt/runs", "--data", "s3://b/d", "--set", "loop.n_steps=5", "--name", "x",
        "--address", "auto",
    ]  # fmt: skip
    assert typed.space_file is None
    assert typed.experiment == "/mnt/runs/x"


def test_the_name_is_chosen_here_so_that_it_can_be_watched(s3_bucket: str):
    out = f"{s3_bucket}/{uuid.uuid4().hex[:8]}"
    (place(out) / "mvt_tsa-004/sweep.yaml").put(b"")
    typed = as_typed_there("mvt_tsa", ["--out", out])
    assert typed.experiment == f"{out}/mvt_tsa-005"
    assert typed.arguments[-4:] == ["--name", "mvt_tsa-005", "--address", "auto"]


def test_a_space_of_ones_own_travels_as_its_file_alone(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text((Path(__file__).parents[3] / "search_spaces/mvt_tsa.yaml").read_text())
    assert load_space(str(file)).name == "mvt_tsa"
    typed = as_typed_there(str(file), ["--out", "/mnt/runs"])
    assert typed.arguments[:2] == ["tune", "mine.yaml"]
    assert typed.space_file == file


def test_an_experiment_is_gone_on_with(s3_bucket: str):
    address = f"{s3_bucket}/{uuid.uuid4().hex[:8]}/mvt-001"
    (place(address) / "ledger/000000000-000000000.jsonl").put(b"{}\n")
    typed = as_typed_there(address, ["--trials", "+4"])
    assert typed.arguments == ["resume", address, "--trials", "+4", "--address", "auto"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], r"--out runs is a folder of this machine; name what the whole cluster sees"),
        (["--out", "/mnt/runs", "--data", "data/mine"], r"--data data/mine is a folder of this machine"),
        (["--out", "/mnt/runs", "--warm-start", "runs/old"], r"--warm-start runs/old is a folder of this machine"),
        (["--out", "/mnt/runs", "--storage", "s.journal"], r"--storage s.journal is a folder of this machine"),
        (["--out", "/mnt/runs", "--storage", "postgresql://u:pw@h/d"], r"holds a password"),
        (["--out", "/mnt/runs", "--trails", "3"], r"No such option: --trails.*see vgsearch tune --help"),
        (["--out", "/mnt/runs", "--trials", "many"], r"Invalid value for '--trials': .*valid integer"),
    ],
)
def test_what_could_not_work_there_is_refused_here(options: list[str], message: str):
    with pytest.raises(ConfigurationError, match=message):
        as_typed_there("mvt_tsa", options)

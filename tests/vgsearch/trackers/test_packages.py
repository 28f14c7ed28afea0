"""Each tracker against its real package, offline: a run for each trial, and a resumed trial goes on in its run."""

import json
import os
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.vgsearch.trackers.events import DONE, FIRST, LEFT, PRUNED, SEARCH, SECOND
from vgsearch.trackers import following as following_module
from vgsearch.trackers.following import following

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.slow  # the packages take seconds to import


@pytest.fixture
def grids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a GIF of the done trial's samples; the tracker writes below the working folder."""
    from PIL import Image

    frames = [Image.new("RGB", (8, 8), (40 * at, 0, 0)) for at in range(4)]
    frames[0].save(tmp_path / f"{DONE}.gif", save_all=True, append_images=frames[1:])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(following_module, "SECONDS_AT_THE_END", 900.0)  # however busy the machine is
    return tmp_path


def track(name: str, grids: Path, capsys: pytest.CaptureFixture) -> None:
    for events in (FIRST, SECOND):
        with following([name], SEARCH, lambda trial: grids / f"{trial}.gif") as follow:
            for event in events:
                follow(event)
    said = capsys.readouterr()
    assert said.out == "", "which may carry the search's JSON"
    assert "stopped, the search goes on" not in said.err
    assert "INFO" not in said.err


def test_mlflow_has_the_values_curves_ends_and_samples_of_each_trial(grids, capsys, monkeypatch):
    pytest.importorskip("mlflow", reason="pip install 'vgsearch[mlflow]'")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{grids}/mlflow.db")
    track("mlflow", grids, capsys)
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name(SEARCH.name)
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert {name: run.info.status for name, run in runs.items()} == {
        DONE: "FINISHED", PRUNED: "FINISHED", LEFT: "KILLED"
    }  # fmt: skip
    done = runs[DONE]
    assert done.data.params["model.sigma_a"] == "0.5"
    assert done.data.params["space"] == "mvt_tsa"
    looks = client.get_metric_history(done.info.run_id, "look")
    assert [(look.step, look.value) for look in looks] == [(10, 0.1), (20, 0.2)]
    assert done.data.metrics["score/s3"] == 0.625
    assert done.data.tags["vgsearch.end"] == "done"
    assert [found.path for found in client.list_artifacts(done.info.run_id, "samples")] == [f"samples/{DONE}.gif"]


def records_of(log: Path) -> Iterator[Any]:
    """The records of a .wandb file: a LevelDB log of protocol buffers, after 7 bytes, in blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, parts = log.read_bytes(), 7, b""
    while at + 7 <= len(content):
        if (left := 32768 - at % 32768) < 7:  # no header fits: the block ends in zeros
            at += left
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(parts)
            parts = b""


def test_wandb_has_the_values_curves_ends_and_samples_of_each_trial(grids, capsys, monkeypatch):
    pytest.importorskip("wandb", reason="pip install 'vgsearch[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    track("wandb", grids, capsys)
    logs = sorted((grids / "wandb").glob("offline-run-*/*.wandb"))
    runs: dict[str, list[Any]] = {}
    for record in (record for log in logs for record in records_of(log)):
        if record.WhichOneof("record_type") == "run":
            runs.setdefault(record.run.display_name, []).append(record.run)
    assert {name: len(of) for name, of in runs.items()} == {DONE: 2, PRUNED: 1, LEFT: 1}
    assert len({run.run_id for run in runs[DONE]}) == 1, "the resumed trial goes on in its run"
    assert {(run.project, run.run_group) for of in runs.values() for run in of} == {("vgsearch", SEARCH.name)}
    config = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in runs[DONE][1].config.update}
    assert config["model.sigma_a"] == 0.5
    of_done = [record for log in logs if runs[DONE][0].run_id in log.name for record in records_of(log)]
    rows = [
        {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
        for record in of_done if record.WhichOneof("record_type") == "history"
    ]  # fmt: skip
    assert [(row["step"], row["look"]) for row in rows if "look" in row] == [(10, 0.1), (20, 0.2)]
    assert [row["score/s3"] for row in rows if "score/s3" in row] == [0.625]
    assert any("samples" in key for row in rows for key in row)


def test_wandb_without_a_key_says_what_to_do_and_never_asks_in_the_terminal(grids, capsys, monkeypatch):
    pytest.importorskip("wandb", reason="pip install 'vgsearch[wandb]'")
    code = (
        "from tests.vgsearch.trackers.events import FIRST, SEARCH\n"
        "from vgsearch.trackers.following import following\n"
        "from pathlib import Path\n"
        "with following(['wandb'], SEARCH, Path) as follow:\n"
        "    follow(FIRST[1])\n"
    )
    hidden = ("WANDB_API_KEY", "WANDB_MODE", "NETRC")
    environment = {name: value for name, value in os.environ.items() if name not in hidden} | {"HOME": str(grids)}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert found.returncode == 0
    assert "the search goes on: no key of Weights & Biases: run wandb login, or set WANDB_MODE=offline." in found.stderr


def test_trackio_has_the_values_and_curves_of_each_trial(grids, capsys, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(grids / "trackio"))  # before the import, which reads it
    pytest.importorskip("trackio", reason="pip install 'vgsearch[trackio]'")
    track("trackio", grids, capsys)
    import trackio

    runs = {run.name: run for run in trackio.Api().runs(SEARCH.name)}
    assert {name.rpartition("-")[0] for name in runs} == {DONE, PRUNED, LEFT}
    (done,) = (run for name, run in runs.items() if name.startswith(DONE))
    assert (done.config["model.sigma_a"], done.config["space"]) == (0.5, "mvt_tsa")
    (database,) = (grids / "trackio").glob("*.db")
    with closing(sqlite3.connect(database)) as opened:
        found = opened.execute(
            "SELECT step, metrics FROM metrics WHERE run_name = ? ORDER BY id", (done.name,)
        ).fetchall()
    rows = [(step, json.loads(values)) for step, values in found]
    assert [(step, row["look"]) for step, row in rows if "look" in row] == [(10, 0.1), (20, 0.2)]
    assert [row["score/s3"] for _, row in rows if "score/s3" in row] == [0.625]


def test_no_command_imports_a_tracker_that_it_was_not_asked_for():
    code = (
        "import sys, vgsearch.runtime.sweep.launch, vgsearch.commands.tune\n"
        "print([name for name in ('mlflow', 'wandb', 'trackio') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"

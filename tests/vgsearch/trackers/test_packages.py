"""Each tracker against its real package, offline: a run for each trial, and a resumed trial goes on in its run."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.vgsearch.trackers.events import DONE, FIRST, LEFT, PRUNED, SEARCH, SECOND
from vgsearch.trackers.following import following

pytestmark = pytest.mark.slow  # the packages take seconds to import


@pytest.fixture
def grids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a GIF of the done trial's samples; the tracker writes below the working folder."""
    from PIL import Image

    frames = [Image.new("RGB", (8, 8), (40 * at, 0, 0)) for at in range(4)]
    frames[0].save(tmp_path / f"{DONE}.gif", save_all=True, append_images=frames[1:])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def track(name: str, grids: Path, capsys: pytest.CaptureFixture) -> None:
    for events in (FIRST, SECOND):
        with following([name], SEARCH, lambda trial: grids / f"{trial}.gif") as follow:
            for event in events:
                follow(event)
    assert "stopped, the search goes on" not in capsys.readouterr().err


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


def test_no_command_imports_a_tracker_that_it_was_not_asked_for():
    code = (
        "import sys, vgsearch.runtime.sweep.launch, vgsearch.commands.tune\n"
        "print([name for name in ('mlflow', 'wandb', 'trackio') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"

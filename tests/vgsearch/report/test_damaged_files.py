"""Each file of an experiment damaged in turn: each command that reads it is right, or names the file in a line."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.builders import manifest_row
from tests.damages import DAMAGES
from tests.vgsearch.report.conftest import WriteSweep
from vgsearch.cli import app
from vgsearch.experiment.paths import Experiment
from vgsearch.space.sweep import load_sweep
from vgsearch.terminal.line import is_own
from videogan.config import parse_config
from videogan.data.manifest import write_manifest
from videogan.shard import Shard
from videogan.training.checkpoint import CheckpointFolder
from videogan.training.loop import Training
from videogan.training.run_config import RunConfig

FILES = (
    "ledger.jsonl", "sweep.yaml", "confirm.json", "TRIAL/config.yaml", "TRIAL/metrics.jsonl", "TRIAL/log.txt",
    "TRIAL/status.json", "TRIAL/scores.json", "TRIAL/checkpoints/best.json", "TRIAL/checkpoints/step00000200.pt",
    "TRIAL/samples/grid.gif",
)  # fmt: skip

READ_BY_REPORT = ("ledger.jsonl", "sweep.yaml", "confirm.json", "TRIAL/config.yaml", "TRIAL/samples/grid.gif")
CHECKPOINT = "TRIAL/checkpoints/step00000200.pt"
MODEL = {"family": "mvt", "variant": "mvt_tsa", "resolution": 32, "n_classes": 4, "channels": 2, "gru_hidden": 4}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = parse_config(RunConfig, {"model": MODEL, "evaluation": {"standing_batches": 1}})
    training = Training(config, lambda module: module, Shard(), "cpu")
    return CheckpointFolder(tmp_path_factory.mktemp("checkpoints")).save(training.checkpoint(200, trained_on="0a"))


def with_data(experiment: Experiment, folder: Path) -> None:
    """Gives the experiment's sweep a data set, as `resume` asks for it."""
    rows = [manifest_row(folder / f"{label}{n}.mp4", f"{label}{n}", split, label)
            for label in "abcd" for n, split in enumerate(("train", "select", "test"))]  # fmt: skip
    manifest = write_manifest(folder, rows)
    sweep = load_sweep(experiment.sweep)
    sweep.model_copy(update={"data": str(folder), "manifest_digest": manifest.digest}).save(experiment.sweep)


def completed(experiment: Experiment, checkpoint: Path) -> Path:
    """The experiment with the files that its trials would have written; returns the first trial's folder."""
    first, *_ = folders = sorted(experiment.trials.iterdir())
    for folder in folders:
        (folder / "metrics.jsonl").write_text("".join(json.dumps({"step": n, "loss": 1.0}) + "\n" for n in range(9)))
        for name in ("log.txt", "status.json", "scores.json"):
            (folder / name).write_text("{}\n")
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints/best.json").write_text('{"step": 200, "look": 0.5}')
        shutil.copy(checkpoint, folder / "checkpoints/step00000200.pt")
    return first


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::videogan.storage.set_aside.DamagedFile")
@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_gives_the_right_answer_or_its_name(
    write_sweep: WriteSweep, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, how: str
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6")  # a resume that has trials to run goes no further
    damaged = write_sweep("damaged", 3, samples=True)
    with_data(damaged, tmp_path / "data")
    trial = completed(damaged, checkpoint)
    if file == damaged.confirm.name:
        damaged.confirm.write_text('{"points": [{"is_paper_point": true}], "seeds": [500000]}')
    whole = shutil.copytree(damaged.folder, tmp_path / "whole")
    path, shown = file.replace("TRIAL", f"trials/{trial.name}"), str(damaged.folder)
    DAMAGES[how](damaged.folder / path)
    slow = [["report", shown]] if file in READ_BY_REPORT else []  # seconds each
    slow += [["compare", shown, str(whole)]] if file in READ_BY_REPORT[:2] else []
    sample = ["sample", str(trial / "checkpoints/step00000200.pt"), "--codes", "1"]
    slow += [sample] if file == CHECKPOINT or file in READ_BY_REPORT else []
    for command in (
        ["status", shown],
        ["show", str(trial)],
        *slow,
        ["resume", shown],
        ["gc", shown, "--disk-budget", "1B"],
    ):
        error = CliRunner().invoke(app, command).exception
        if error is None or (isinstance(error, SystemExit) and error.code in (0, None)):
            continue
        assert is_own(error), (command, repr(error))
        goes_on = ("no trial has started", "no cluster answers")
        assert any(words in str(error) for words in (path.rpartition("/")[2], *goes_on)), (command, str(error))

"""Each file of an experiment damaged in turn: status, show, report and gc are right, or name the file in a line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.vgsearch.report.conftest import WriteSweep
from vgsearch.cli import app
from vgsearch.experiment.paths import Experiment
from vgsearch.terminal.line import is_own


def _into_folder(path: Path) -> None:
    path.unlink()
    (path / "inside").mkdir(parents=True)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3]),
    "garbled": lambda path: path.write_bytes(b"\xff\x00{[garbled\n" * 3),
    "empty": lambda path: path.write_bytes(b""),
    "replaced by a folder": _into_folder,
    "missing": lambda path: path.unlink(),
}
FILES = (
    "ledger.jsonl", "sweep.yaml", "confirm.json", "TRIAL/config.yaml", "TRIAL/metrics.jsonl", "TRIAL/log.txt",
    "TRIAL/status.json", "TRIAL/scores.json", "TRIAL/checkpoints/best.json", "TRIAL/checkpoints/step00000200.pt",
    "TRIAL/samples/grid.gif",
)  # fmt: skip

READ_BY_REPORT = ("ledger.jsonl", "sweep.yaml", "confirm.json", "TRIAL/config.yaml", "TRIAL/samples/grid.gif")


def completed(experiment: Experiment) -> Path:
    """The experiment with the files that its trials would have written; returns the first trial's folder."""
    first, *_ = folders = sorted(experiment.trials.iterdir())
    for folder in folders:
        (folder / "metrics.jsonl").write_text("".join(json.dumps({"step": n, "loss": 1.0}) + "\n" for n in range(9)))
        for name in ("log.txt", "status.json", "scores.json"):
            (folder / name).write_text("{}\n")
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints/best.json").write_text('{"step": 200, "look": 0.5}')
        (folder / "checkpoints/step00000200.pt").write_bytes(bytes(1000))
    return first


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::videogan.storage.set_aside.DamagedFile")
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_gives_the_right_answer_or_its_name(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
):
    monkeypatch.chdir(tmp_path)
    whole = write_sweep("whole", 3, samples=True)
    trial = completed(whole)
    if file == whole.confirm.name:
        whole.confirm.write_text('{"points": [{"is_paper_point": true}], "seeds": [500000]}')
    path = file.replace("TRIAL", f"trials/{trial.name}")
    for how, damage in DAMAGES.items():
        damaged = tmp_path / f"{how.replace(' ', '-')}"
        shutil.copytree(whole.folder, damaged)
        damage(damaged / path)
        shown = str(damaged)
        report = [["report", shown]] if file in READ_BY_REPORT else []  # it takes seconds
        for command in (["status", shown], ["show", f"{shown}/{trial.name}"], *report, ["gc", shown]):
            error = CliRunner().invoke(app, command).exception
            if error is None or isinstance(error, SystemExit):
                continue
            assert is_own(error), (how, command, repr(error))
            is_named = path.rpartition("/")[2] in str(error) or "no trial has started" in str(error)
            assert is_named, (how, command, str(error))

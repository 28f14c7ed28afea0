"""After an interrupted attempt and a resume, every step is once in metrics.jsonl and once on each curve."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vgsearch.experiment.metrics_lines import whole_lines
from vgsearch.experiment.moved import MovedExperiment
from vgsearch.experiment.paths import TrialFolder
from vgsearch.experiment.trial_records import TrialRecords, set_wrong_kinds_aside
from videogan.storage.set_aside import DamagedFile

CUT_OFF = """
import os, pathlib, sys
from vgsearch.experiment.paths import TrialFolder
from vgsearch.experiment.trial_records import TrialRecords, set_wrong_kinds_aside
from videogan.storage.set_aside import DamagedFile
with TrialRecords(TrialFolder(pathlib.Path(sys.argv[1])), 0) as records:
    for step in range(1, 31):
        records.write(step, {"loss": float(step)})
        if step % 10 == 0:
            records.write(step, {"look": step / 100})
            records.flush()  # as before a checkpoint
        if step == 27:
            os.kill(os.getpid(), 9)
"""


@pytest.fixture
def cut_off(tmp_path: Path) -> TrialFolder:
    """A trial that was killed at step 27; its newest checkpoint is of step 20."""
    code = subprocess.run([sys.executable, "-c", CUT_OFF, str(tmp_path)], cwd=Path(__file__).parents[3]).returncode
    assert code == -9
    return TrialFolder(tmp_path)


def resume(folder: TrialFolder, step: int, n_steps: int) -> None:
    with TrialRecords(folder, step) as records:
        for later in range(step + 1, n_steps + 1):
            records.write(later, {"loss": float(later)})


def steps_of(folder: TrialFolder, tag: str) -> list[int]:
    return [event.step for event in EventAccumulator(str(folder.tensorboard)).Reload().Scalars(tag)]


@pytest.mark.parametrize("torn", [False, True])
def test_a_killed_attempt_leaves_no_gap_and_no_repeated_step(cut_off: TrialFolder, torn: bool):
    if torn:
        (events,) = cut_off.tensorboard.iterdir()
        with open(events, "ab") as stream:
            stream.write(events.read_bytes()[:20])
        os.truncate(cut_off.metrics, cut_off.metrics.stat().st_size - 3)
    resume(cut_off, 20, 30)
    lines = [json.loads(line) for line in cut_off.metrics.read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 31))
    assert steps_of(cut_off, "loss") == list(range(1, 31))
    assert steps_of(cut_off, "look") == [10, 20]
    assert [line["look"] for line in lines if "look" in line] == [0.1, 0.2]


def test_a_clock_set_back_between_attempts_hides_no_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = TrialFolder(tmp_path)
    for now, step in ((2e9, 0), (1e9, 5), (1e9, 10)):
        monkeypatch.setattr("time.time", lambda now=now: now)
        resume(folder, step, step + 5)
    assert steps_of(folder, "loss") == list(range(1, 16))


def test_a_trial_scored_twice_writes_its_scores_once(tmp_path: Path):
    folder = TrialFolder(tmp_path)
    for _ in range(2):
        with TrialRecords(folder, 30) as records:
            records.write_scores(30, {"s3": 0.5, "cost": 9.0}, {"memorisation/copies": 0.25})
    assert [json.loads(line) for line in folder.metrics.read_text().splitlines()] == [
        {"step": 30, "score/s3": 0.5, "score/cost": 9.0, "memorisation/copies": 0.25}
    ]
    assert steps_of(folder, "memorisation/copies") == [30]
    assert steps_of(folder, "score/s3") == [30]


def test_a_trial_whose_folder_was_moved_writes_nothing_at_the_old_place(tmp_path: Path):
    folder = TrialFolder(tmp_path / "s" / "trials" / "t0000-aaaaaa")
    with TrialRecords(folder, 0) as records:
        records.write(1, {"loss": 1.0})
        (tmp_path / "s").rename(tmp_path / "moved")
        for attempt in (lambda: records.write(2, {"loss": 2.0}), records.flush):
            with pytest.raises(MovedExperiment, match="vgsearch resume FOLDER"):
                attempt()
    assert not (tmp_path / "s").exists()
    assert (tmp_path / "moved/trials/t0000-aaaaaa/metrics.jsonl").read_text() == '{"step": 1, "loss": 1.0}\n'


@pytest.mark.parametrize("line", ["{", "nonsense", "[1, 2]", '{"loss": 1.0}', '{"step": "x"}', "\x00\x00", "\udcff"])
def test_a_damaged_line_of_metrics_is_named_and_the_others_stay(tmp_path: Path, line: str):
    folder = TrialFolder(tmp_path)
    resume(folder, 0, 4)
    first, *rest = folder.metrics.read_bytes().splitlines(keepends=True)
    damaged = b"".join([first, line.encode(errors="surrogateescape") + b"\n", *rest])
    folder.metrics.write_bytes(damaged)
    with pytest.warns(DamagedFile, match=r"metrics.jsonl must hold a JSON object .* not in 1 \(number 2\)"):
        assert [found["step"] for found in whole_lines(folder.metrics)] == [1, 2, 3, 4]
    resume(folder, 4, 6)
    assert "(number 2). Set aside as metrics.jsonl.damaged; going on with the other lines." in folder.log.read_text()
    assert [found["step"] for found in whole_lines(folder.metrics)] == [1, 2, 3, 4, 5, 6]
    assert (tmp_path / "metrics.jsonl.damaged").read_bytes() == damaged


def test_files_in_the_place_of_folders_and_the_other_way_round_are_set_aside(tmp_path: Path):
    folder = TrialFolder(tmp_path)
    files, folders = (folder.metrics, folder.log), (folder.tensorboard, folder.checkpoints, folder.samples)
    for path in files:
        path.mkdir()
        (path / "inside").touch()
    for path in folders:
        path.write_bytes(b"garbled")
    with pytest.warns(DamagedFile) as said:
        set_wrong_kinds_aside(folder)
    assert len(said) == 5
    assert {path.name for path in tmp_path.iterdir()} == {f"{path.name}.damaged" for path in (*files, *folders)}
    resume(folder, 0, 2)
    assert [line["step"] for line in whole_lines(folder.metrics)] == [1, 2]


def test_a_link_to_itself_in_the_place_of_a_file_is_set_aside_and_another_link_is_followed(tmp_path: Path):
    folder = TrialFolder(tmp_path / "trial")
    folder.folder.mkdir()
    folder.metrics.symlink_to(folder.metrics.name)
    folder.log.symlink_to(tmp_path / "log elsewhere")
    with pytest.warns(DamagedFile, match=r"metrics.jsonl must be a file, but is a link to itself. Set aside as "):
        set_wrong_kinds_aside(folder)
    resume(folder, 0, 2)
    assert [line["step"] for line in whole_lines(folder.metrics)] == [1, 2]
    assert (tmp_path / "log elsewhere").is_file()

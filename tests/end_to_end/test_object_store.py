"""Drills of a sweep on an S3 server that sometimes fails: killed, resumed from a second machine, shown on a third."""

import json
import re
from pathlib import Path

import pytest

from tests.end_to_end.machine import BY_DISTANCE, TINY, Machine, kill, processes_of
from tests.s3_server import Holding
from tests.waiting import wait_until
from vgsearch.experiment.ledger import SweepRecord, read_ledger
from vgsearch.experiment.paths import Experiment
from videogan.data.synthetic import make_moving_shapes
from videogan.storage.places import place

pytestmark = pytest.mark.slow
STEPS = ["--set", "loop.n_steps=6", "--set", "loop.look_every=2"]


@pytest.fixture(scope="module")
def killed(failing_s3: tuple[str, Holding], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, SweepRecord]:
    """A sweep of 3 trials whose driver was killed while the second trained, and its record at that moment.

    The server refuses the second trial's last checkpoint, so that the trial is still running when the kill comes.
    """
    failing_s3_bucket, holding = failing_s3
    folder = tmp_path_factory.mktemp("machines")
    made = make_moving_shapes(folder / "shapes", n_clips_each=1, n_groups=16)
    data = place(f"{failing_s3_bucket}/shapes")
    for path in [*made.usable["path"].to_pylist(), "manifest.parquet"]:
        (data / path).put((made.folder / path).read_bytes())
    address = f"{failing_s3_bucket}/runs/s"
    first = Machine(folder / "first", failing_s3_bucket)
    search = ["mvt_tsa", "--data", str(data), "--out", f"{failing_s3_bucket}/runs", "--name", "s", "--trials", "3"]
    holding.key = r"/trials/t0001-\w+/checkpoints/step00000006\.pt"
    driver = first.start("tune", *search, "--max-concurrent", "1", *TINY, *STEPS, *BY_DISTANCE)
    wait_until(lambda: driver.poll() is not None or holding.arrived.is_set(), lambda: first.log("tune"), seconds=1500)
    assert driver.poll() is None, first.log("tune")
    kill(driver)
    wait_until(lambda: not processes_of(first), lambda: processes_of(first))
    holding.key = None
    record = read_ledger(Experiment.at(address).events)
    assert not (first.folder / "runs").exists(), "the driver's own disk holds only copies"
    return address, folder, record


@pytest.fixture(scope="module")
def finished(killed: tuple[str, Path, SweepRecord], failing_s3_bucket: str) -> tuple[str, Machine, SweepRecord]:
    """The same sweep after another machine, which has none of its files, resumed it."""
    address, folder, _ = killed
    second = Machine(folder / "second", failing_s3_bucket)
    output = second.run("resume", address)
    assert "best    kvd" in output, output
    assert f"{address}/trials/" in output
    return address, second, read_ledger(Experiment.at(address).events)


def test_another_machine_resumes_a_killed_sweep_and_repeats_nothing(killed, finished):
    _, _, before = killed
    address, _, record = finished
    assert [trial.state for trial in record.trials.values()] == ["done"] * 3
    first, second, *_ = record.trials.values()
    assert len(first.attempts) == 1, "what was done is done"
    assert len(second.attempts) == 2
    assert first.scores == next(iter(before.trials.values())).scores
    # Its looks before the kill were not taken again: it resumed from the newest checkpoint that was sent.
    lines = [
        json.loads(line)
        for line in (place(address) / f"trials/{second.trial_id}/metrics.jsonl").read_bytes().splitlines()
    ]
    assert [line["step"] for line in lines if "look" in line] == [2, 4, 6]
    assert [line["step"] for line in lines if "d_video" in line] == list(range(1, 7))
    log = (place(address) / f"trials/{second.trial_id}/log.txt").read_bytes().decode()
    assert re.findall(r"training from step (\d+) ", log) == ["0", "4"]


def test_the_bucket_has_every_file_and_no_leftovers(finished):
    address, second, record = finished
    names = {name for name in place(address).files() if not name.startswith("ledger/")}
    for trial in record.trials:
        checkpoints = {n.rpartition("/")[2] for n in names if n.startswith(f"trials/{trial}/checkpoints/step")}
        assert 2 <= len(checkpoints) <= 3, "the newest two and the best"
        for part in ("config.yaml", "metrics.jsonl", "log.txt", "status.json", "scores.json", "samples/grid.gif"):
            assert f"trials/{trial}/{part}" in names
        assert any(name.startswith(f"trials/{trial}/tb/") for name in names)
    hidden = {name for name in names if any(part.startswith(".") for part in name.split("/"))}
    assert hidden == set(), "no lock, no stop request, no half-written file"
    assert not list((second.folder / "cache/vgsearch/trials").glob("*/*/*")), "nodes keep no copy of a trial that ended"


def test_a_third_machine_shows_the_sweep_and_samples_a_checkpoint(finished, failing_s3_bucket: str):
    address, second, record = finished
    laptop = Machine(second.folder.parent / "laptop", failing_s3_bucket)
    output = laptop.run("status", address)
    assert all(trial[:5] in output for trial in record.trials), output
    shown = laptop.run("show", f"{address}/{record.best.trial_id[:5]}")
    assert f"{address}/trials/{record.best.trial_id}/checkpoints" in shown
    assert "step00000006.pt (" in shown
    laptop.run("report", address)
    written = {name for name in place(address).files() if name.startswith("report")}
    assert {"report.html", "report/README.md"} <= written
    assert record.best.trial_id[:5] in (place(address) / "report/README.md").read_bytes().decode()
    assert any(name.endswith(".png") for name in written)
    checkpoint = f"{address}/trials/{record.best.trial_id}/checkpoints/step00000006.pt"
    laptop.run("sample", checkpoint, "--codes", "2")
    samples = {n for n in (place(address) / f"trials/{record.best.trial_id}").files() if n.startswith("samples/")}
    assert "samples/step00000006-grid-seed0.png" in samples


def test_a_missing_sweep_or_checkpoint_is_refused_with_its_address(failing_s3_bucket: str, finished):
    address, second, _ = finished
    for arguments, message in (
        (("status", f"{failing_s3_bucket}/runs/nowhere"), "runs/nowhere contains no sweep"),
        (("sample", f"{address}/trials/t9/checkpoints/step1.pt"), "step1.pt must be the checkpoint of a trial"),
        (
            ("tune", "mvt_tsa", "--out", f"{failing_s3_bucket}/runs", "--name", "s"),
            f"{address} already holds a sweep of 'mvt_tsa'",
        ),
    ):
        assert message in second.run(*arguments, code=1)

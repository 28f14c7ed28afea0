"""Drills: a kill, a truncated file or a full disk at the worst moment loses no finished result.

Each prints a row of the drill table (printed with -s): what was done, what was kept, what was lost.
"""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import fill
from tests.end_to_end.fake_sweep import a_sweep, assert_whole, outcome
from vgsearch.experiment.ledger import SweepRecord, read_ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.study.study import open_study

ROOT = Path(__file__).parents[2]
N_TRIALS = 13


def row(done: str, kept: str, lost: str = "nothing") -> None:
    print(f"\n| {done} | {kept} | {lost} |", flush=True)


def log_of(folder: Path) -> Path:
    """The log of an experiment's drivers: beside it, or beside the disk it fills."""
    return (folder.parent.parent if folder.parent.name == "disk" else folder.parent) / "driver.log"


def start(folder: Path, n_trials: int = N_TRIALS) -> subprocess.Popen:
    """Starts a driver in its own process group."""
    with open(log_of(folder), "a") as log:
        command = [sys.executable, "-m", "tests.end_to_end.fake_sweep", str(folder), str(n_trials)]
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)


def finish(folder: Path, n_trials: int = N_TRIALS) -> SweepRecord:
    driver = start(folder, n_trials)
    assert driver.wait(timeout=1500) == 0, log_of(folder).read_text()[-3000:]
    return read_ledger(Experiment(folder).ledger)


def n_lines(folder: Path) -> int:
    ledger = Experiment(folder).ledger
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0


def kill_at(folder: Path, lines: int, delay: float) -> bool:
    """Runs a driver and kills it with -9, `delay` seconds after the ledger has `lines` lines."""
    driver = start(folder)
    while n_lines(folder) < lines and driver.poll() is None:
        time.sleep(0.002)
    time.sleep(delay)
    killed = driver.poll() is None
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    return killed


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SweepRecord]:
    """The uninterrupted sweep."""
    folder = tmp_path_factory.mktemp("whole") / "s"
    return folder, finish(folder)


def killed_again_and_again(whole: tuple[Path, SweepRecord], folder: Path, n_kills: int, seed: int) -> None:
    uninterrupted, record = whole
    draw = random.Random(seed)
    moments = sorted(draw.sample(range(1, n_lines(uninterrupted)), n_kills))
    killed = sum(kill_at(folder, lines, draw.uniform(0, 0.05)) for lines in moments)
    resumed = finish(folder)
    assert killed == n_kills
    assert outcome(resumed) == outcome(record)
    assert_whole(folder, resumed)
    states = " ".join(f"{resumed.count(state)} {state}" for state in ("done", "pruned", "diverged"))
    row(f"driver killed with -9 at {n_kills} random moments of {N_TRIALS} trials (seed {seed})",
        f"all {len(resumed.trials)} trials as uninterrupted: {states}; same proposals, looks and scores")  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_driver_killed_at_ten_random_moments_loses_nothing_and_proposes_the_same(whole, tmp_path: Path):
    killed_again_and_again(whole, tmp_path / "s", n_kills=10, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_moved_sweep_without_its_database_resumes_unchanged(whole, tmp_path: Path):
    _, record = whole
    assert kill_at(tmp_path / "s", 17, 0.0)
    shutil.move(tmp_path / "s", tmp_path / "moved")
    Experiment(tmp_path / "moved").study.unlink()
    resumed = finish(tmp_path / "moved")
    assert outcome(resumed) == outcome(record)
    assert_whole(tmp_path / "moved", resumed)
    study = open_study(Experiment(tmp_path / "moved").study, a_sweep(N_TRIALS))
    assert len({trial.user_attrs["index"] for trial in study.trials if "index" in trial.user_attrs}) == N_TRIALS
    row("driver killed, folder moved, optuna.db deleted", "all trials as uninterrupted; the study rebuilt")


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_sweep_moved_while_it_runs_stops_and_resumes_where_it_is(whole, tmp_path: Path):
    _, record = whole
    driver = start(tmp_path / "s")
    while n_lines(tmp_path / "s") < 17:
        assert driver.poll() is None, log_of(tmp_path / "s").read_text()[-3000:]
        time.sleep(0.002)
    shutil.move(tmp_path / "s", tmp_path / "moved")
    assert driver.wait(timeout=1500) != 0
    said = log_of(tmp_path / "s").read_text()
    assert "MovedExperiment" in said
    assert "resume it where it is now" in said
    assert n_lines(tmp_path / "s") == 0, "begun again at the old place"
    resumed = finish(tmp_path / "moved")
    assert outcome(resumed) == outcome(record)
    assert_whole(tmp_path / "moved", resumed)
    row("folder moved under the running sweep", "stopped by name; resumed at the new place as if uninterrupted")


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_database_that_another_program_locks_does_not_stop_a_sweep(whole, tmp_path: Path):
    _, record = whole
    driver = start(tmp_path / "s")
    while n_lines(tmp_path / "s") < 9:
        assert driver.poll() is None, log_of(tmp_path / "s").read_text()[-3000:]
        time.sleep(0.002)
    other = sqlite3.connect(Experiment(tmp_path / "s").study, timeout=60)
    other.execute("BEGIN EXCLUSIVE")
    assert driver.wait(timeout=1500) == 0, log_of(tmp_path / "s").read_text()[-3000:]
    assert "the next start of this sweep writes them" in log_of(tmp_path / "s").read_text()
    assert outcome(read_ledger(Experiment(tmp_path / "s").ledger)) == outcome(record)
    other.close()
    resumed = finish(tmp_path / "s")
    assert "rebuilt from the ledger" in log_of(tmp_path / "s").read_text()
    assert outcome(resumed) == outcome(record)
    assert_whole(tmp_path / "s", resumed)
    row("optuna.db locked by another program until the end", "the same trials; the study rebuilt by the next start")


def test_a_second_driver_is_refused_with_the_process_of_the_first(tmp_path: Path):
    with Experiment(tmp_path / "s").lock():
        second = start(tmp_path / "s")
        assert second.wait(timeout=1500) == 1
    assert f"in use by process {os.getpid()} on " in log_of(tmp_path / "s").read_text()
    assert n_lines(tmp_path / "s") == 0
    row("a second driver on the same experiment", "the first one's ledger, untouched")


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_three_sweeps_at_once_come_out_as_one_alone(whole, tmp_path: Path):
    _, record = whole
    folders = [tmp_path / str(number) / "s" for number in range(3)]
    for folder in folders:
        folder.parent.mkdir()
    drivers = [start(folder) for folder in folders]
    for driver, folder in zip(drivers, folders, strict=True):
        assert driver.wait(timeout=1500) == 0, log_of(folder).read_text()[-3000:]
        found = read_ledger(Experiment(folder).ledger)
        assert outcome(found) == outcome(record)
        assert_whole(folder, found)
    row("three sweeps started at once", "each as if alone")


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_full_disk_stops_the_sweep_and_with_space_it_resumes(whole, small_disk: Path, tmp_path: Path):
    _, record = whole
    folder = small_disk / "s"
    driver = start(folder)
    while n_lines(folder) < 9:
        assert driver.poll() is None, log_of(folder).read_text()[-3000:]
        time.sleep(0.002)
    before = read_ledger(Experiment(folder).ledger)
    hog = small_disk / "hog"
    while driver.poll() is None:
        fill(hog)
        time.sleep(0.01)
    said = log_of(folder).read_text()
    assert driver.returncode != 0 or "no space left" in said
    full = read_ledger(Experiment(folder).ledger)
    assert {t.trial_id for t in before.done} <= {t.trial_id for t in full.done}
    assert not [t for t in full.trials.values() if t.state in ("failed", "lost")], said
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "more").write_bytes(b"0" * 10_000)
    (small_disk / "more").unlink()
    hog.unlink()
    resumed = finish(folder)
    assert outcome(resumed) == outcome(record)
    row(
        "disk full under the sweep (tmpfs of 4 MB)",
        "all finished trials; with space again, the others as if uninterrupted",
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a read-only file system")
def test_a_read_only_output_is_refused_before_anything_starts(small_disk: Path):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    command = [sys.executable, "-c", "from vgsearch.experiment.paths import Experiment; from pathlib import Path; import sys; "
               "Experiment(Path(sys.argv[1]) / 's').lock()", str(small_disk)]  # fmt: skip
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "can't be written: Read-only file system. Choose another --out" in run.stderr
    row("read-only output", "refused with the folder and the reason before anything started")


@pytest.mark.slow
def test_a_sweep_that_another_process_stops_saves_ends_with_130_and_goes_on_when_resumed(tmp_path: Path):
    folder, command = tmp_path / "s", [sys.executable, "-m", "vgsearch", "stop"]
    driver = start(folder)
    while not n_lines(folder) and driver.poll() is None:
        time.sleep(0.05)
    subprocess.run([*command, folder], cwd=ROOT, check=True, timeout=120)
    assert driver.wait(timeout=300) == 130, log_of(folder).read_text()[-3000:]
    assert read_ledger(Experiment(folder).ledger).ended == "interrupted"
    again = subprocess.run([*command, folder], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert again.returncode == 1
    assert "there is nothing to stop" in again.stderr
    assert_whole(folder, finish(folder))
    row("stopped by vgsearch stop", "every trial")

"""Drills on real trainings: a killed process, a stopped driver or a cut checkpoint does not change the training."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.waiting import wait_until
from vgsearch.experiment.ledger import SweepRecord, read_ledger
from vgsearch.experiment.paths import Experiment
from videogan.data.synthetic import make_moving_shapes
from videogan.training.checkpoint import CheckpointFolder

VGSEARCH = [sys.executable, "-c", "from vgsearch.cli import main; main()"]
N_STEPS, LOOK_EVERY = 40, 8
# In 32-bit floats a training resumed from a checkpoint equals the uninterrupted one bit for bit.
SETTINGS = {"model.channels": 2, "model.gru_hidden": 8, "loop.log_every": 1, "loop.precision": "fp32",
            "loop.n_steps": N_STEPS, "loop.look_every": LOOK_EVERY, "evaluation.objective": "-kvd"}  # fmt: skip
TRAIN = ["train", "mvt_tsa", "--budget", "smoke", *(a for k, v in SETTINGS.items() for a in ("--set", f"{k}={v}"))]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_moving_shapes(tmp_path_factory.mktemp("data") / "shapes", n_clips_each=1, n_groups=16).folder


def start(folder: Path, *arguments: Any) -> subprocess.Popen:
    with open(folder / "log", "a") as log:
        command = [*VGSEARCH, *map(str, arguments)]
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)


def finish(folder: Path, *arguments: Any) -> None:
    assert start(folder, *arguments).wait(timeout=1200) == 0, (folder / "log").read_text()[-3000:]


def record(folder: Path) -> SweepRecord:
    return read_ledger(Experiment(folder / "runs" / "s").ledger)


def losses(folder: Path) -> list[dict[str, float]]:
    """The losses of each step, in the order of the lines."""
    (trial,) = record(folder).trials.values()
    lines = Experiment(folder / "runs" / "s").trial(trial.trial_id).metrics.read_text().splitlines()
    return [{k: v for k, v in line.items() if k[:2] in ("d_", "g_") or k == "step"}
            for line in map(json.loads, lines) if "d_video" in line]  # fmt: skip


def wait_for_look(folder: Path, driver: subprocess.Popen, step: int) -> None:
    def looked() -> bool:
        return any(step in trial.looks for trial in record(folder).trials.values())

    wait_until(lambda: driver.poll() is not None or looked(), (folder / "log").read_text, seconds=900)
    assert looked(), (folder / "log").read_text()[-3000:]


def kill_training_process(driver: subprocess.Popen, title: str) -> None:
    """kill -9 of one process below the driver whose name, which Ray sets, begins with `title`."""
    below = psutil.Process(driver.pid).children(recursive=True)
    victim = next(p for p in below if (p.cmdline() or [""])[0].startswith(title))
    os.kill(victim.pid, signal.SIGKILL)


def row(done: str, kept: str, lost: str = "nothing") -> None:
    print(f"\n| {done} | {kept} | {lost} |", flush=True)


@pytest.fixture(scope="module")
def undisturbed(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(folder, *TRAIN, "--data", shapes, "--name", "s")
    return folder


def test_a_trial_that_is_killed_stopped_and_loses_its_newest_checkpoint_has_the_same_losses(
    undisturbed, shapes, tmp_path
):
    driver = start(tmp_path, *TRAIN, "--data", shapes, "--name", "s")
    wait_for_look(tmp_path, driver, LOOK_EVERY)
    kill_training_process(driver, "ray::ImplicitFunc")
    wait_for_look(tmp_path, driver, 2 * LOOK_EVERY)
    driver.send_signal(signal.SIGTERM)
    assert driver.wait(timeout=600) == 130
    (stopped,) = record(tmp_path).trials.values()
    assert stopped.state == "interrupted"
    folder = Experiment(tmp_path / "runs" / "s").trial(stopped.trial_id)
    checkpoints = CheckpointFolder(folder.checkpoints)
    newest = checkpoints.steps()[-1]
    os.truncate(checkpoints.path(newest), checkpoints.path(newest).stat().st_size // 2)
    finish(tmp_path, "resume", "runs/s")
    (trial,) = record(tmp_path).trials.values()
    assert trial.state == "done"
    assert "does not load" in folder.log.read_text()
    assert losses(tmp_path) == losses(undisturbed)
    (whole,) = record(undisturbed).trials.values()
    assert (trial.looks, trial.scores["kvd"]) == (whole.looks, whole.scores["kvd"])
    same = f"all {N_STEPS} steps with the same losses, looks and score as undisturbed"
    row("trial's process killed with -9 mid-step", f"{same}: on from step {LOOK_EVERY}")
    row("SIGTERM to the driver", f"exit 130, saved at step {newest}; {same}")
    row(f"newest checkpoint (step {newest}) cut to half", f"{same}: resumed from the one before it, as the log says")


def test_a_killed_worker_loses_no_step_of_its_trial(shapes: Path, tmp_path: Path):
    driver = start(tmp_path, *TRAIN, "--data", shapes, "--name", "s", "--workers-per-trial", 2)
    wait_for_look(tmp_path, driver, LOOK_EVERY)
    kill_training_process(driver, "ray::RayTrainWorker")
    assert driver.wait(timeout=1500) == 0, (tmp_path / "log").read_text()[-3000:]
    (trial,) = record(tmp_path).trials.values()
    assert trial.state == "done"
    assert [line["step"] for line in losses(tmp_path)] == list(range(1, N_STEPS + 1))
    row(
        "one of two data-parallel workers killed with -9 mid-step", f"done, {N_STEPS} steps without gap or doubled step"
    )

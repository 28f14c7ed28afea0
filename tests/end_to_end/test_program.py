"""A search of another program as a user types it: the shipped example, killed and resumed, reported and confirmed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.end_to_end.machine import BY_DISTANCE, Machine, command_of, processes_of
from tests.waiting import wait_until
from vgsearch.experiment.ledger import SweepRecord, read_ledger
from vgsearch.experiment.paths import Experiment
from videogan.data.synthetic import make_moving_shapes

SPACE = ["moving_blobs", "--budget", "smoke"]
PROGRAM = "vgsearch.program.moving_blobs"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> Path:
    return make_moving_shapes(tmp_path_factory.mktemp("data") / "shapes", n_clips_each=1, n_groups=16).folder


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """With the cache of the other tests, which may hold the classifiers of these clips."""
    machine = Machine(tmp_path / "machine", "")
    del machine.own["VGSEARCH_CACHE"]
    return machine


def record_of(machine: Machine, name: str) -> SweepRecord:
    return read_ledger(Experiment(machine.folder / "runs" / name).ledger)


def programs(machine: Machine) -> list[int]:
    return [pid for pid in processes_of(machine) if PROGRAM in command_of(pid)]


@pytest.mark.slow
def test_a_programs_trials_are_looked_at_scored_and_recorded_as_a_familys(shapes, machine):
    output = machine.run("tune", *SPACE, "--data", shapes, "--trials", 2, "--name", "s", *BY_DISTANCE)
    record = record_of(machine, "s")
    assert [trial.state for trial in record.trials.values()] == ["done", "done"], output
    assert record.is_of_program
    assert record.floor is None
    for trial in record.trials.values():
        assert sorted(trial.looks) == [10, 20, 30]
        folder = Experiment(machine.folder / "runs/s").trial(trial.trial_id)
        board = EventAccumulator(str(folder.tensorboard)).Reload()
        assert [event.step for event in board.Images("samples")] == [10, 20, 30]
        assert [event.step for event in board.Scalars("look")] == [10, 20, 30]
        assert "_hparams_/session_start_info" in board.summary_metadata
        assert json.loads(folder.status.read_text())["state"] == "done"
    assert "vgsearch evaluate --videos runs/s/trials/" in output
    assert "vgsearch sample" not in output


@pytest.mark.slow
def test_a_killed_search_of_twelve_trials_resumes_reports_and_confirms(shapes, machine):
    driver = machine.start("tune", *SPACE, "--data", shapes, "--trials", 12, "--name", "k", "--max-concurrent", 1)
    ledger = Experiment(machine.folder / "runs/k").ledger

    def is_due() -> bool:
        return ledger.exists() and len(record_of(machine, "k").done) >= 2 and bool(programs(machine))

    wait_until(lambda: driver.poll() is not None or is_due(), lambda: machine.log("tune"))
    assert driver.poll() is None, machine.log("tune")
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    wait_until(lambda: not programs(machine), lambda: [command_of(pid) for pid in programs(machine)], 60)
    before = record_of(machine, "k")
    resumed = machine.start("resume", "runs/k")
    wait_until(lambda: resumed.poll() is not None or programs(machine), lambda: machine.log("resume"))
    resumed.send_signal(signal.SIGINT)
    assert resumed.wait(600) == 130, machine.log("resume")
    assert not programs(machine)
    assert "interrupted" in {trial.state for trial in record_of(machine, "k").trials.values()}
    machine.run("resume", "runs/k")
    record = record_of(machine, "k")
    assert len(record.trials) == 12
    assert {trial.state for trial in record.trials.values()} <= {"done", "pruned"}
    assert all(record.trials[trial.trial_id].scores == trial.scores for trial in before.done)
    assert record.best.scores["s3"] > 0.5
    confirmed = machine.run("confirm", "runs/k", "--top", 1, "--seeds", 2)
    assert "confirm.json" in confirmed
    machine.run("report", "runs/k")
    assert record.best.trial_id in (machine.folder / "runs/k/report.html").read_text()
    best = machine.folder / f"runs/k/trials/{record.best.trial_id}"
    samples = best / f"program/samples/step_{record.best.step}"
    assert "s3" in machine.run("evaluate", "--videos", samples, "--data", shapes, "--budget", "smoke").lower()
    refused = machine.run("sample", best / "checkpoints/state.json", code=1)
    assert "is of another program, which alone can read it" in refused


SCRIPT = """
import json
import numpy as np
import vgsearch

def train(hyperparameters, reporter):
    state = reporter.checkpoint_folder / "step"
    first = int(state.read_text()) if state.exists() else 0
    for step in range(first + 1, reporter.n_steps + 1):
        rng = np.random.default_rng([reporter.seed, step])
        shape = (8 * len(reporter.classes), reporter.n_frames, 32, 32, 3)
        videos = rng.normal(100, hyperparameters["spread"], shape).clip(0, 255).astype(np.uint8)
        reporter.look(videos, [number % len(reporter.classes) for number in range(len(videos))], step)
        state.write_text(str(step))
        print("shown", step, flush=True)

if __name__ == "__main__":
    domains = {"spread": {"type": "float", "low": 1.0, "high": 90.0}}
    settings = {"command.resolution": 32, "evaluation.protocol": "s3_r3d18_smoke_v2", "evaluation.objective": "-kvd"}
    vgsearch.tune(train, domains, first={"spread": 20.0}, n_steps=2, data=DATA, overrides=settings, trials=2, name="f")
"""


@pytest.mark.slow
def test_a_python_function_is_searched_and_resumed_from_the_command_line(shapes, machine):
    script = machine.folder / "mine.py"
    script.write_text(SCRIPT.replace("DATA", repr(str(shapes))))
    run = subprocess.run([sys.executable, script], cwd=machine.folder, env={**os.environ, **machine.own}, text=True,
                         capture_output=True, timeout=1500)  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    machine.run("resume", "runs/f", "--trials", "+1")
    record = record_of(machine, "f")
    assert [(trial.state, sorted(trial.looks)) for trial in record.trials.values()] == [("done", [1, 2])] * 3

"""A search whose trials share a GPU two by two, as a user types it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.gpu.device import needs_cuda
from vgsearch.experiment.ledger import read_ledger
from vgsearch.experiment.paths import Experiment

pytestmark = [pytest.mark.gpu, needs_cuda, pytest.mark.timeout(600)]
VGSEARCH = [sys.executable, "-c", "from vgsearch.cli import main; main()"]


def test_two_trials_share_a_gpu_and_are_scored(tmp_path: Path):
    command = ["tune", "mvt_tsa", "--budget", "smoke", "--trials", 4, "--name", "s", "--gpus-per-worker", 0.5]
    short = ["--set", "loop.n_steps=60", "--set", "loop.look_every=30", "--max-concurrent", 2, "--no-confirm-best"]
    run = subprocess.run([*VGSEARCH, *map(str, command + short)], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "of GPU memory" in run.stdout
    trials = list(read_ledger(Experiment(tmp_path / "runs" / "s").ledger).trials.values())
    assert {trial.state for trial in trials} <= {"done", "pruned"}
    spans = [span for trial in trials for span in trial.attempts]
    assert any(a is not b and a[0] < b[1] and b[0] < a[1] for a in spans for b in spans), "two ran at a time"

"""A search from Python: the same files as `vgsearch tune`, and an experiment to work with."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vgsearch.experiment.ledger import read_ledger
from vgsearch.experiment.paths import Experiment
from videogan.data.synthetic import make_moving_shapes

PROGRAM = """
import json, sys, vgsearch
tiny = {"model.channels": 2, "model.gru_hidden": 8, "loop.n_steps": 2, "loop.look_every": 2, "loop.log_every": 1}
found = vgsearch.tune("mvt_tsa", data=sys.argv[1], budget="smoke", trials=2, name="s",
                      overrides=tiny | {"evaluation.objective": "-kvd"})
clips = found.model().sample(2, labels="up", seed=1)
print(json.dumps([found.ended, found.trials, found.best, found.verdict, list(clips.shape), str(found.report())]))
"""


@pytest.mark.slow
def test_a_program_searches_and_gets_its_trials_its_best_a_model_and_a_report(tmp_path: Path):
    data = make_moving_shapes(tmp_path / "shapes", n_clips_each=1, n_groups=16).folder
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, data], cwd=tmp_path, capture_output=True, text=True, timeout=1500
    )
    assert run.returncode == 0, run.stdout + run.stderr
    ended, trials, best, verdict, shape, report = json.loads(run.stdout.splitlines()[-1])
    record = read_ledger(Experiment(tmp_path / "runs" / "s").ledger)
    assert ended == record.ended == "finished"
    assert [row["trial"] for row in trials] == list(record.trials)
    assert best["kvd"] == min(row["kvd"] for row in trials)
    assert verdict
    assert shape == [2, 16, 32, 32, 3]
    assert Path(tmp_path, report).is_file()

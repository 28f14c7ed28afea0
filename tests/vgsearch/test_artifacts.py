"""Where a sweep's files lie, and that two drivers never write the same ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from vgsearch.artifacts import Experiment, ExperimentInUse, next_name, trial_id


def test_every_file_of_an_experiment_lies_in_its_folder_under_a_name_of_its_own(tmp_path: Path):
    experiment = Experiment(tmp_path / "mvt-001")
    trial = experiment.trial("t0007-3fa9c1")
    files = [experiment.sweep, experiment.ledger, experiment.study, experiment.ray, experiment.stop_request]
    parts = [trial.config, trial.metrics, trial.tensorboard, trial.checkpoints, trial.samples, trial.log, trial.status]
    assert experiment.name == "mvt-001"
    assert all(path.is_relative_to(tmp_path / "mvt-001") for path in files + parts)
    assert all(path.is_relative_to(tmp_path / "mvt-001" / "trials" / "t0007-3fa9c1") for path in parts)
    assert len(set(files + parts)) == len(files + parts)


def test_a_trials_id_is_its_order_and_six_digits_of_its_hash():
    assert trial_id(7, "3fa9c1d2e3") == "t0007-3fa9c1"
    assert trial_id(12345, "0" * 64) == "t12345-000000"


def test_the_next_name_is_one_above_the_highest_of_its_own_space(tmp_path: Path):
    assert next_name(tmp_path / "nowhere", "mvt") == "mvt-001"
    for name in ("mvt-001", "mvt-009", "mvt_tsa-041", "mvt-old", "mvt-011-copy"):
        (tmp_path / name).mkdir()
    assert next_name(tmp_path, "mvt") == "mvt-010"
    assert next_name(tmp_path, "mvt_tsa") == "mvt_tsa-042"
    (tmp_path / "mvt-1000").mkdir()
    assert next_name(tmp_path, "mvt") == "mvt-1001"


def test_an_experiment_in_use_is_refused_until_its_driver_lets_go(tmp_path: Path):
    experiment = Experiment(tmp_path / "mvt-001")
    with experiment.lock():
        with pytest.raises(ExperimentInUse, match="mvt-001 is in use by another vgsearch"):
            experiment.lock()
        Experiment(tmp_path / "mvt-002").lock().close()
    experiment.lock().close()


def test_another_process_is_refused_and_a_killed_one_leaves_no_lock(tmp_path: Path):
    code = (
        "import sys, pathlib, vgsearch.artifacts as a\n"
        "held = a.Experiment(pathlib.Path(sys.argv[1])).lock()\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ExperimentInUse):
            Experiment(tmp_path).lock()
        holder.kill()
        holder.wait()
        Experiment(tmp_path).lock().close()

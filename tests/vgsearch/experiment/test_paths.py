"""A sweep's files, and the lock that keeps two drivers from writing the same ones."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from vgsearch.experiment.paths import Experiment, ExperimentInUse, next_name, trial_id


def test_every_file_of_an_experiment_is_in_its_folder_under_its_own_name(tmp_path: Path):
    experiment = Experiment(tmp_path / "mvt-001")
    trial = experiment.trial("t0007-3fa9c1")
    files = [experiment.sweep, experiment.ledger, experiment.study, experiment.ray, experiment.stop_request]
    parts = [trial.config, trial.metrics, trial.tensorboard, trial.checkpoints, trial.samples, trial.log, trial.status]
    assert experiment.name == "mvt-001"
    assert all(path.is_relative_to(tmp_path / "mvt-001") for path in files + parts)
    assert all(path.is_relative_to(tmp_path / "mvt-001" / "trials" / "t0007-3fa9c1") for path in parts)
    assert len(set(files + parts)) == len(files + parts)


def test_a_trials_id_is_its_index_and_six_digits_of_its_hash():
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


def test_an_experiment_in_use_is_refused_until_its_driver_ends(tmp_path: Path):
    experiment = Experiment(tmp_path / "mvt-001")
    with experiment.lock():
        holder = f"mvt-001 is in use by process {os.getpid()} on {socket.gethostname()}; wait for it"
        for _ in range(2):  # a refused driver leaves the holder's name as it was
            with pytest.raises(ExperimentInUse, match=re.escape(holder)):
                experiment.lock()
        Experiment(tmp_path / "mvt-002").lock().close()
    experiment.lock().close()


def test_another_process_is_refused_and_a_killed_one_leaves_no_lock(tmp_path: Path):
    code = (
        "import sys, pathlib, vgsearch.experiment.paths as a\n"
        "held = a.Experiment(pathlib.Path(sys.argv[1])).lock()\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ExperimentInUse, match=f"in use by process {holder.pid} on "):
            Experiment(tmp_path).lock()
        holder.kill()
        holder.wait()
        Experiment(tmp_path).lock().close()


def test_an_attempt_set_aside_keeps_its_records_but_no_checkpoint(tmp_path: Path):
    trial = Experiment(tmp_path).trial("t0000-aaaaaa")
    for attempt in (1, 2):
        trial.checkpoints.mkdir(parents=True)
        (trial.checkpoints / "step00000010.pt").write_bytes(b"weights")
        trial.metrics.write_text(f"attempt {attempt}")
        trial.tensorboard.mkdir()
        trial.config.write_text("kept")
        trial.set_aside()
        assert sorted(path.name for path in trial.folder.iterdir()) == ["attempts", "config.yaml"]
        aside = trial.folder / "attempts" / str(attempt)
        assert sorted(path.name for path in aside.iterdir()) == ["metrics.jsonl", "tb"]
        assert (aside / "metrics.jsonl").read_text() == f"attempt {attempt}"
    trial.set_aside()
    assert len(list((trial.folder / "attempts").iterdir())) == 2

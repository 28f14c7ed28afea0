"""A sweep's files, and the lock that keeps two drivers from writing the same ones."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from vgsearch.experiment.moved import MovedExperiment
from vgsearch.experiment.paths import ADDRESS, OPENED, Experiment, ExperimentInUse, TrialFolder, trial_id
from videogan.config import ConfigurationError
from videogan.storage.places import RemotePath


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


def test_a_trial_with_the_name_of_another_folder_has_no_path(tmp_path: Path):
    for name in ("../../victim", "a/b", "..", ".hidden", "", "t0000\x1b[2J"):
        with pytest.raises(ConfigurationError, match="a trial's id must be the name of one folder"):
            Experiment(tmp_path / "mvt-001").trial(name)
        with pytest.raises(ConfigurationError, match="a trial's id must be the name of one folder"):
            Experiment(tmp_path / "mvt-001").confirm_run(name)


def test_an_experiment_with_a_path_too_long_for_the_file_system_is_refused(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="File name too long; give a shorter path"):
        Experiment.at(tmp_path / ("x" * 300))


def test_a_folder_that_names_an_address_is_not_its_working_copy(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path / "cache"))
    own = TrialFolder.at("memory://bucket/mvt-001/trials/t0000", OPENED).folder
    for folder, address in ((own, RemotePath("memory://bucket", "mvt-001/trials/t0000")), (tmp_path / "given", None)):
        folder.mkdir(parents=True)
        (folder / ADDRESS).write_text("memory://bucket/mvt-001/trials/t0000")
        assert TrialFolder.around(folder / "checkpoints" / "step00000001.pt").address == address


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


def test_a_lock_leaves_no_folder_of_an_experiment_that_never_began(tmp_path: Path):
    experiment = Experiment(tmp_path / "s-001")
    with pytest.raises(KeyboardInterrupt), experiment.lock():
        raise KeyboardInterrupt  # as while it waits for a cluster
    assert list(tmp_path.iterdir()) == []
    with experiment.lock():
        experiment.sweep.write_text("a: b\n")
    assert experiment.sweep.exists()


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


def test_a_driver_whose_folder_was_moved_is_told(tmp_path: Path):
    experiment = Experiment(tmp_path / "mvt-001")
    with experiment.lock():
        experiment.refuse_lost()
        experiment.folder.rename(tmp_path / "moved")
        with pytest.raises(MovedExperiment, match="mvt-001 is no longer the folder that this sweep writes to"):
            experiment.refuse_lost()
        with pytest.raises(ExperimentInUse), Experiment(tmp_path / "moved").lock():
            pass
        (tmp_path / "moved").rename(experiment.folder)
        experiment.refuse_lost()
    experiment.refuse_lost()

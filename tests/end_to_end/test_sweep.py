"""Whole sweeps as a user types them: real video files, real Ray, the real command in its own process."""

import json
import math
import os
import signal
import subprocess
from pathlib import Path

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.end_to_end.machine import BY_DISTANCE, TINY, VGSEARCH
from tests.waiting import wait_until
from vgsearch.experiment.ledger import SweepRecord, read_ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.sweep import board
from vgsearch.space.sweep import load_sweep
from videogan.config import parse_config
from videogan.data.cache import clip_cache_folder
from videogan.data.clips import TrainingClips, open_cache
from videogan.data.manifest import read_manifest
from videogan.data.moving_mnist import make_moving_mnist
from videogan.data.preprocessing import preprocessing_named
from videogan.data.synthetic import make_moving_shapes
from videogan.training.checkpoint import CheckpointFolder
from videogan.training.loop import train
from videogan.training.run_config import RunConfig


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> Path:
    return make_moving_shapes(tmp_path_factory.mktemp("data") / "shapes", n_clips_each=1, n_groups=16).folder


def vgsearch(*arguments: str, folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run([*VGSEARCH, *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=1500)


def steps(n: int, look_every: int) -> list[str]:
    return ["--set", f"loop.n_steps={n}", "--set", f"loop.look_every={look_every}"]


def record(folder: Path, name: str) -> SweepRecord:
    return read_ledger(Experiment(folder / "runs" / name).ledger)


@pytest.fixture(scope="module")
def interrupted(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SweepRecord]:
    """The folder of a sweep of two trials after Ctrl-C, and its record at that moment."""
    folder = tmp_path_factory.mktemp("sweep")
    arguments = ["tune", "mvt_tsa", "--data", str(shapes), "--trials", "2", "--name", "s", *TINY, *steps(12, 4)]
    # One trial at a time: under any load, one trial is running or waiting at Ctrl-C.
    arguments += ["--max-concurrent", "1"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with open(folder / "log", "w") as log:
        run = subprocess.Popen(
            [*VGSEARCH, *arguments], cwd=folder, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        log_text = (folder / "log").read_text
        wait_until(lambda: run.poll() is not None or "step 4/12" in log_text(), log_text)
        assert run.poll() is None, log_text()
        os.killpg(run.pid, signal.SIGINT)  # a terminal sends Ctrl-C to the whole group, Ray's processes included
        assert run.wait(timeout=1500) == 130, log_text()
    assert "vgsearch resume runs/s" in log_text()
    return folder, record(folder, "s")


@pytest.fixture(scope="module")
def sweep(interrupted: tuple[Path, SweepRecord]) -> tuple[Path, subprocess.CompletedProcess]:
    """The same sweep after `vgsearch resume` finished it."""
    folder, _ = interrupted
    run = vgsearch("resume", "runs/s", folder=folder)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder, run


def test_ctrl_c_saves_and_resume_continues_from_there(interrupted, sweep):
    folder, stopped = interrupted
    finished = record(folder, "s")
    assert "interrupted" in [trial.state for trial in stopped.trials.values()]
    for trial_id, trial in stopped.trials.items():
        assert finished.trials[trial_id].overrides == trial.overrides
        metrics = Experiment(folder / "runs/s").trial(trial_id).metrics.read_text().splitlines()
        trained = [line["step"] for line in map(json.loads, metrics) if "d_video" in line]
        assert trained == list(range(1, 13)), "no step was trained twice"


def test_a_sweep_scores_its_trials_and_starts_at_the_papers_point(sweep):
    folder, run = sweep
    found = record(folder, "s")
    assert [trial.state for trial in found.trials.values()] == ["done"] * 2
    first = next(iter(found.trials.values()))
    assert first.is_paper_point
    assert first.overrides["optimiser.lr_g"] == 5e-5
    assert len({json.dumps(trial.overrides, sort_keys=True) for trial in found.trials.values()}) == 2
    assert found.floor.score.s3.s3.mean > 0
    assert found.best.trial_id in run.stdout
    assert found.ended == "finished"
    assert found.header["split"] == "select"
    assert "scores are on select" in run.stdout
    for trial in found.trials.values():
        assert sorted(trial.looks) == [4, 8, 12]
        assert set(trial.health["vitals"]) >= {"loss_share", "weight_growth", "class_diversity", "freezing", "looping"}
        assert (
            json.loads(Experiment(folder / "runs/s").trial(trial.trial_id).status.read_text())["health"] == trial.health
        )
        score = trial.score.s3
        assert score.s3.mean == pytest.approx(sum(score.per_seed["s3"]) / 3)
        for ser, res, rer, s3 in zip(*(score.per_seed[name] for name in ("ser", "res", "rer", "s3")), strict=True):
            assert s3 == pytest.approx(math.sqrt(ser * res) / rer)


def test_every_trial_writes_its_config_checkpoints_samples_and_curves(sweep, shapes):
    folder, _ = sweep
    experiment = Experiment(folder / "runs" / "s")
    for trial_id in record(folder, "s").trials:
        trial = experiment.trial(trial_id)
        assert CheckpointFolder(trial.checkpoints).newest().step == 12
        assert (trial.samples / "grid.gif").read_bytes().startswith(b"GIF89a")
        assert (trial.samples / "grid.mp4").stat().st_size > 0
        assert trial.config.exists()
        assert json.loads(trial.status.read_text())["state"] == "done"
        s3 = json.loads(trial.scores.read_text())["s3"]
        n_select = len(read_manifest(shapes).split("select"))
        assert (s3["split"], s3["n_test"], s3["n_windows"]) == ("select", n_select, 4)
        n_said = {name: sum(map(sum, matrix)) for name, matrix in s3["confusion"].items()}
        assert n_said == {"ser": 3 * 4 * n_select, "rer": 3 * 4 * n_select, "res": s3["n_samples"]}, "3 seeds"
        assert s3["n_samples"] >= 500
        logged = [json.loads(line)["step"] for line in trial.metrics.read_text().splitlines()]
        assert set(logged) == set(range(1, 13))
        board = EventAccumulator(str(trial.tensorboard)).Reload()
        assert [event.step for event in board.Scalars("loss/d_video")] == list(range(1, 13))
        assert [event.step for event in board.Images("samples")] == [4, 8, 12]
        assert "_hparams_/session_start_info" in board.summary_metadata


def test_tensorboard_compares_the_trials_of_a_sweep_by_their_scores_and_costs(sweep, hparams_tab):
    folder, _ = sweep
    columns, rows = hparams_tab(folder / "runs" / "s")
    assert [info["displayName"] for info in columns["metricInfos"]] == ["S3", "SeR", "ReS", "cost", "look"]
    found = record(folder, "s")
    assert {Path(row["name"]).parent.name for row in rows} == set(found.trials)
    settings = load_sweep(folder / "runs" / "s" / "sweep.yaml")
    for row in rows:
        trial = found.trials[Path(row["name"]).parent.name]
        assert row["hparams"] == board.row(settings, trial.overrides)
        shown = {value["name"]["tag"]: value["value"] for value in row["metricValues"]}
        scores = {f"hparams/{name}": trial.scores[name] for name in ("s3", "ser", "res", "cost")}
        assert shown == pytest.approx(scores | {"look": trial.look}, rel=1e-5)


def test_a_report_of_the_sweep_shows_its_samples_beside_real_clips(sweep, tmp_path):
    folder, _ = sweep
    run = vgsearch("report", "runs/s", "--out", tmp_path, folder=folder)
    assert run.returncode == 0, run.stdout + run.stderr
    html, markdown = (folder / "runs/s/report.html").read_text(), (tmp_path / "s" / "README.md").read_text()
    assert "tune mvt_tsa --data" in html
    assert "No real clips" not in html
    assert "Columns: real, t000" in markdown
    assert record(folder, "s").best.trial_id in html


def test_status_reads_only_the_ledger(sweep):
    folder, _ = sweep
    status = json.loads(vgsearch("status", "runs/s", "--json", folder=folder).stdout)
    assert status["best"] == record(folder, "s").best.trial_id
    assert len(status["trials"]) == 2
    assert status["front"] == [status["best"]]


def test_a_name_in_use_is_refused_with_the_command_to_resume(sweep, shapes):
    folder, _ = sweep
    run = vgsearch("tune", "mvt", "--data", shapes, "--name", "s", *TINY, folder=folder)
    assert run.returncode == 1
    assert "already holds a sweep of 'mvt_tsa'. Resume it with vgsearch resume" in run.stderr


@pytest.mark.slow
def test_a_diverging_trial_is_reported_and_a_sweep_without_another_has_no_best(shapes, tmp_path):
    run = vgsearch(
        "train", "mvt_tsa", "--data", shapes, "--name", "s", *TINY, *BY_DISTANCE, *steps(30, 30),
        "--set", "optimiser.lr_g=1.0e+30", folder=tmp_path,
    )  # fmt: skip
    assert run.returncode == 3, run.stdout + run.stderr
    (trial,) = record(tmp_path, "s").trials.values()
    assert trial.state == "diverged"
    assert "is not finite" in trial.reason
    assert 1 <= trial.step <= 30


@pytest.mark.slow
def test_health_stop_on_prunes_a_trial_in_mode_collapse(shapes, tmp_path):
    """Codes without variance make one clip of each class.

    The rule needs two looks in a row, so the third is not taken.
    """
    alike = [part for name in "abc" for part in ("--set", f"model.sigma_{name}=1.0e-6")]
    run = vgsearch(
        "train", "mvt_tsa", "--data", shapes, "--name", "s", *TINY, *BY_DISTANCE, *steps(6, 2), *alike,
        "--set", "health.stop_on=[mode collapse]", "--set", "health.n_looks=2", folder=tmp_path,
    )  # fmt: skip
    assert run.returncode == 3, run.stdout + run.stderr
    (trial,) = record(tmp_path, "s").trials.values()
    assert (trial.state, trial.step, sorted(trial.looks)) == ("pruned", 4, [2, 4])
    assert trial.reason.startswith("mode collapse at 2 looks in a row: samples of the median class differ 0.0")


@pytest.mark.slow
def test_a_trial_trains_on_a_stream_without_a_cache(shapes, tmp_path, monkeypatch):
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path / "cache"))
    streamed = [*BY_DISTANCE, "--set", "data.feed=stream"]
    run = vgsearch("train", "mvt_tsa", "--data", shapes, "--name", "s", *TINY, *steps(4, 4), *streamed, folder=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert not (tmp_path / "cache" / "clips").exists()
    (trial,) = record(tmp_path, "s").trials.values()
    assert trial.state == "done"


@pytest.mark.slow
def test_data_without_classes_needs_the_kernel_distance(tmp_path):
    data = make_moving_mnist(tmp_path / "digits", n_clips=24).folder
    asked = ["train", "mvt_tsa", "--data", data, *TINY, *steps(4, 4)]
    refused = vgsearch(*asked, "--name", "by-s3", folder=tmp_path)
    assert refused.returncode == 1
    assert "Use --set evaluation.objective=-kvd" in refused.stderr
    run = vgsearch(*asked, "--name", "s", *BY_DISTANCE, folder=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    (trial,) = record(tmp_path, "s").trials.values()
    assert trial.state == "done"
    assert set(trial.scores) == {"kvd", "cost"}
    assert trial.scores["kvd"] > trial.score.features["kvd"].real


def losses_of_one_process(config: RunConfig, data: Path) -> list[dict[str, float]]:
    """The losses of each step of the same training in this process, on the clips that the sweep has cached."""
    manifest = read_manifest(data)
    store = open_cache(clip_cache_folder(manifest, preprocessing_named(config.preprocessing)), manifest)
    clips = TrainingClips(store, config.loop.batch_size, config.model.n_frames, config.seed)
    return [progress.losses for progress in train(config, clips)]


@pytest.mark.slow
def test_two_ray_train_workers_have_the_losses_of_one_process(shapes, tmp_path):
    """One trial under TorchTrainer with two workers: same data, same draws; batch norm off, so the same losses."""
    exact = ["norm_g=none", "seq_bn=none", "d_video_norm=none"]
    off = [argument for name in exact for argument in ("--set", f"model.{name}")]
    precise = ["--set", "loop.precision=fp32", "--set", "optimiser.eps=0.01"]
    run = vgsearch(
        "train", "mvt_tsa", "--data", shapes, "--name", "w2", *TINY, *BY_DISTANCE, *steps(4, 4), *off, *precise,
        "--workers-per-trial", 2, folder=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    (trial,) = record(tmp_path, "w2").trials.values()
    folder = Experiment(tmp_path / "runs/w2").trial(trial.trial_id)
    lines = [line for line in map(json.loads, folder.metrics.read_text().splitlines()) if "d_video" in line]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    config = parse_config(RunConfig, yaml.safe_load(folder.config.read_text()))
    for one, two in zip(losses_of_one_process(config, shapes), lines, strict=True):
        for term in ("d_image", "d_video", "g_image", "g_video"):
            assert two[term] == pytest.approx(one[term], rel=1e-4, abs=1e-5), (two["step"], term)


@pytest.mark.slow
def test_a_stream_without_a_free_cpu_is_refused(shapes, tmp_path):
    n_cpus = os.cpu_count()
    run = vgsearch(
        "train", "mvt_tsa", "--data", shapes, "--name", "s", *TINY, "--set", "data.feed=stream",
        "--set", f"loop.batch_size={2 * n_cpus}", "--workers-per-trial", n_cpus, folder=tmp_path,
    )  # fmt: skip
    assert run.returncode == 1
    assert "Lower --workers-per-trial" in run.stderr


@pytest.mark.slow
def test_trials_of_a_population_start_from_the_weights_of_the_best(shapes, tmp_path):
    run = vgsearch(
        "tune", "mvt_mc_pbt", "--data", shapes, "--trials", 4, "--name", "p", *TINY, *steps(100, 25), *BY_DISTANCE,
        folder=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    trials = list(record(tmp_path, "p").trials.values())
    assert len(trials) == 4
    children = [trial for trial in trials if trial.parent is not None]
    assert children, [(trial.trial_id, trial.state, trial.looks) for trial in trials]
    for child in children:
        log = Experiment(tmp_path / "runs/p").trial(child.trial_id).log.read_text()
        assert f"training from step {child.parent['step']} to 100" in log
        assert min(child.looks) > child.parent["step"]


@pytest.mark.slow
def test_a_point_trained_with_two_seeds_scores_their_mean(shapes, tmp_path):
    run = vgsearch(
        "tune", "mvt_tsa", "--data", shapes, "--trials", 1, "--name", "p", "--seeds-per-trial", 2, *TINY, *steps(4, 2),
        *BY_DISTANCE, folder=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    (trial,) = record(tmp_path, "p").trials.values()
    files = Experiment(tmp_path / "runs/p").trial(trial.trial_id)
    scores = []
    for folder in (files.folder, files.folder / "seeds/1"):
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        scores += [line["score/kvd"] for line in lines if "score/kvd" in line]
    assert len(set(scores)) == 2
    assert trial.scores["kvd"] == pytest.approx(sum(scores) / 2)
    assert trial.score.over_training_seeds["kvd"] == pytest.approx(scores)
    assert "signal  unknown for kernel distance: it needs at least 2 points with a score, got 1" in run.stdout
    assert sorted(trial.looks) == [2, 4]
    assert files.checkpoints.exists()
    assert not (files.folder / "seeds/1/checkpoints").exists(), (
        "only the checkpoints of the first training are in the disk forecast"
    )


@pytest.mark.slow
def test_a_model_without_labels_gets_an_s3_by_one_generator_for_each_class(shapes, tmp_path):
    run = vgsearch(
        "train", "tgan_svc", "--data", shapes, "--name", "s", "--budget", "smoke", "--one-per-class", *steps(4, 2),
        folder=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert "one generator for each class: every trial is 4 trainings of 4 steps, and none is pruned" in run.stdout
    (trial,) = record(tmp_path, "s").trials.values()
    assert trial.state == "done"
    assert trial.looks == {}
    assert trial.score.s3.protocol == "s3_r3d18_smoke_v2+one_per_class"
    folder = Experiment(tmp_path / "runs/s").trial(trial.trial_id)
    for number in range(4):
        assert CheckpointFolder(folder.of_class(number) / "checkpoints").newest().step == 4
    generator = folder.of_class(0) / "checkpoints/step00000004.pt"
    assert str(generator.relative_to(tmp_path)) in run.stdout
    assert vgsearch("sample", generator, "--codes", "2", folder=tmp_path).returncode == 0
    refused = vgsearch("evaluate", generator, folder=tmp_path)
    assert refused.returncode == 1
    assert "generates class 0 only" in refused.stderr
    # Resuming repeats no training: the ended trial stays as it is.
    assert vgsearch("resume", "runs/s", folder=tmp_path).returncode == 0


@pytest.mark.slow
def test_every_group_is_tested_once_by_a_training_on_each_fold(shapes, tmp_path):
    arguments = ["train", "mvt_tsa", "--data", shapes, "--folds", "2", "--name", "s", *TINY, *BY_DISTANCE, *steps(4, 2)]
    run = vgsearch(*arguments, folder=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads((tmp_path / "runs/s.json").read_text())["scores"]["kvd"]
    by_fold = [next(iter(record(tmp_path, f"s-fold-{n}").trials.values())).scores["kvd"] for n in (1, 2)]
    assert found["by_fold"] == pytest.approx(by_fold)
    assert found["mean"] == pytest.approx(sum(by_fold) / 2)
    again = vgsearch(*arguments, folder=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert json.loads((tmp_path / "runs/s.json").read_text())["scores"]["kvd"] == found, "ended folds are not repeated"

"""Confirmation and warm start of a sweep, by the real commands on a real data set."""

import json
import re
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from vgsearch.experiment.ledger import read_ledger
from vgsearch.experiment.paths import Experiment
from videogan.data.moving_mnist import make_moving_mnist
from videogan.data.synthetic import make_moving_shapes
from videogan.training.checkpoint import CheckpointFolder

VGSEARCH = [sys.executable, "-c", "from vgsearch.cli import main; main()"]
TINY = {
    "model.channels": 2,
    "model.gru_hidden": 8,
    "loop.n_steps": 2,
    "loop.look_every": 2,
    "loop.log_every": 1,
    "evaluation.objective": "-kvd",
}


def vgsearch(*arguments: object, folder: Path) -> subprocess.CompletedProcess:
    run = subprocess.run([*VGSEARCH, *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=1500)
    assert run.returncode == 0, run.stdout + run.stderr
    return run


@pytest.fixture(scope="module")
def tune(tmp_path_factory) -> tuple[list[object], Path]:
    """The command of a tiny sweep named s, which has run in a folder."""
    folder = tmp_path_factory.mktemp("sweep")
    shapes = make_moving_shapes(tmp_path_factory.mktemp("data") / "shapes", n_clips_each=1, n_groups=16).folder
    settings = [part for path, value in TINY.items() for part in ("--set", f"{path}={value}")]
    command = ["tune", "mvt_tsa", "--data", shapes, "--budget", "smoke", "--trials", 2, *settings]
    vgsearch(*command, "--name", "s", folder=folder)
    return command, folder


@pytest.mark.slow
def test_confirm_trains_points_on_fresh_seeds_and_does_not_change_the_search(tune):
    _, folder = tune
    experiment = Experiment(folder / "runs" / "s")
    before = read_ledger(experiment.ledger)
    run = vgsearch("confirm", "runs/s", "--top", 2, "--seeds", 2, folder=folder)
    after = read_ledger(experiment.ledger)
    assert (after.trials, after.best.trial_id, after.ended) == (before.trials, before.best.trial_id, before.ended)
    runs = {f"{trial}-s{seed}" for trial in before.trials for seed in (500_000, 500_001)}
    assert {name: run.state for name, run in after.confirmation.trials.items()} == dict.fromkeys(runs, "done")
    assert {path.name for path in (experiment.folder / "confirm").iterdir()} == runs
    for name in runs:
        assert CheckpointFolder(experiment.confirm_run(name).checkpoints).newest().step == 2
    confirmed = json.loads(experiment.confirm.read_text())
    assert [point["trial_id"] for point in confirmed["points"]] == [
        trial.trial_id for trial in sorted(before.done, key=lambda trial: trial.scores["kvd"])
    ]
    (other,) = (point for point in confirmed["points"] if not point["is_paper_point"])
    paper = next(point for point in confirmed["points"] if point["is_paper_point"])
    better = [paper["by_seed"][seed] - other["by_seed"][seed] for seed in other["by_seed"]]
    assert other["against_paper"]["mean"] == pytest.approx(sum(better) / 2)
    assert "minus paper" in run.stdout
    assert confirmed["signal"]["n_runs"] == 4
    assert re.search(r"^signal: \d+ % \[\d+, \d+\] of the variance in kernel distance is between", run.stdout, re.M)
    # What has ended is not trained again.
    size = experiment.ledger.stat().st_size
    again = vgsearch("confirm", "runs/s", "--top", 2, "--seeds", 2, folder=folder)
    assert "4 runs, 4 ended" in again.stdout
    assert experiment.ledger.stat().st_size == size


@pytest.mark.slow
def test_a_warm_started_sweep_has_its_own_trials_and_its_study_in_the_given_storage(tune):
    command, folder = tune
    journal = folder / "studies.journal"
    run = vgsearch(*command, "--name", "w", "--warm-start", "runs/s", "--storage", journal, folder=folder)
    assert "the study starts with 2 done trials of s" in run.stdout
    experiment = Experiment(folder / "runs" / "w")
    record = read_ledger(experiment.ledger)
    assert [trial.state for trial in record.trials.values()] == ["done"] * 2
    assert [known["experiment"] for known in record.known] == ["s", "s"]
    (study,) = optuna.get_all_study_summaries(JournalStorage(JournalFileBackend(str(journal))))
    assert study.n_trials == 4
    assert not experiment.study.exists()


@pytest.mark.slow
def test_a_search_ends_with_an_answer_from_fresh_seeds_that_a_later_confirm_does_not_repeat(tune):
    command, folder = tune
    run = vgsearch(*command, "--name", "a", "--confirm-best", folder=folder)
    record = read_ledger(Experiment(folder / "runs" / "a").ledger)
    assert "2 times each, to tell them apart" in run.stdout, "the cost is told before it starts"
    (answer,) = re.findall(r"^answer: (.*)", run.stdout, re.M)
    if record.best.is_paper_point:
        assert answer == "the paper's point: the search found none that scores higher"
    else:
        assert re.search(r"kvd .*p = .*, 2 seeds", answer)
    n_runs = 2 * (1 if record.best.is_paper_point else 2)
    assert [trial.state for trial in record.confirmation.trials.values()] == ["done"] * n_runs
    again = vgsearch("confirm", "runs/a", "--top", 1, "--seeds", 2, folder=folder)
    assert f"{n_runs} runs, {n_runs} ended" in again.stdout


@pytest.mark.slow
def test_a_study_compares_every_paper_point_with_the_first_on_the_test_clips(tune):
    (_, _, _, shapes, *_), folder = tune
    settings = ["--set", "model.width=0.03", "--set", "loop.n_steps=2", "--set", "loop.look_every=2"]
    run = vgsearch("study", "table4", "--data", shapes, "--budget", "smoke", "--seeds", 2, *settings, "--name", "t",
                   folder=folder)  # fmt: skip
    record = read_ledger(Experiment(folder / "runs" / "t").ledger)
    assert [trial.state for trial in record.trials.values()] == ["done"] * 3, "none is pruned"
    assert all(len(trial.score.over_training_seeds["kvd"]) == 2 for trial in record.done)
    assert {part.split for trial in record.done for part in trial.score.parts} == {"test"}
    assert re.search(r"^SVC +.* - +- +2", run.stdout, re.M), "the first is compared with nothing"
    assert re.search(r"^normal GAN +.*\] +[+-].*\] +0\.\d\d\d +2", run.stdout, re.M)
    assert "answer:" not in run.stdout, "a study has no best point to confirm"


@pytest.mark.slow
def test_a_study_ends_with_the_adversarial_metric_of_its_first_point_on_grey_digits(tmp_path: Path):
    data = make_moving_mnist(tmp_path / "digits", n_clips=24).folder
    settings = ["--set", "model.width=0.03", "--set", "loop.n_steps=2", "--set", "loop.look_every=2"]
    run = vgsearch("study", "table4", "--data", data, "--budget", "smoke", "--seeds", 2, *settings, "--gam", "--fakes", 24,
                   "--json", "--name", "t", folder=tmp_path)  # fmt: skip
    experiment = Experiment(tmp_path / "runs" / "t")
    first, *others = sorted(trial.trial_id for trial in read_ledger(experiment.ledger).done)
    assert len(others) == 2
    (scores,) = experiment.trial(first).evaluations.rglob("scores.json")
    rows = [row for row in json.loads(scores.read_text())["scores"] if row["measure"] == "gam"]
    assert [other for row in rows for other in others if other in row["found"]["against"]] == others
    told = [event for event in map(json.loads, run.stdout.splitlines()) if event["event"] == "gam"]
    assert [event["found"] for event in told] == [row["found"] for row in rows]
    assert {row["found"]["n_fakes"] for row in rows} == {24}

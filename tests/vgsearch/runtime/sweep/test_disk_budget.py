"""A running sweep stays within its disk budget, and stops if the checkpoints to keep exceed it."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from tests.builders import tiny_sweep
from vgsearch.cli import app
from vgsearch.experiment.end import End
from vgsearch.experiment.ledger import Ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.experiment.score import Score
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.study.proposal import Proposal
from vgsearch.runtime.sweep.driver import Driver
from vgsearch.terminal.sweep_table import SweepView
from videogan.config import ConfigurationError

MB = 1_000_000


class Running:
    """A driver with simulated trials: each leaves one checkpoint of a megabyte and ends with a given score."""

    def __init__(self, folder: Path, budget: float | None = None, **settings: Any) -> None:
        sweep = tiny_sweep(disk_budget_bytes=budget, keep=3, **settings)
        self.experiment = Experiment(folder)
        self.ledger, self.output = Ledger(self.experiment.ledger), io.StringIO()
        view = SweepView(Console(file=self.output, width=500), self.ledger.record, 8)
        self.driver = Driver(self.experiment, sweep, Inputs("data", "plain_32", None), self.ledger, view)
        self.point = sweep.paper_points[0]

    def trial(self, index: int, s3: float | None = None) -> None:
        point = self.point | {"optimiser.lr_g": 5e-5 * (1 + index)}
        parameters = self.driver.begin(Proposal(index, point, is_paper_point=index == 0))
        assert parameters["keep"] == 3
        trial = parameters["trial_id"]
        checkpoints = self.experiment.trial(trial).checkpoints
        checkpoints.mkdir()
        (checkpoints / "step00000025.pt").write_bytes(bytes(MB))
        healthy = json.dumps({"states": {}, "vitals": {}})
        self.driver.progressed(parameters, {"step": 25, "look": 0.5, "health": healthy, "losses/d_image": 1.0})
        if s3 is not None:
            score = Score.from_json({key: {"mean": s3, "low": s3, "high": s3} for key in ("s3", "ser", "res")})
            self.driver.ended(parameters, End("done", step=200, scores={"s3": s3}, score=score))

    @property
    def kept(self) -> list[int]:
        folders = self.experiment.trials.glob("*/checkpoints")
        return sorted(int(folder.parent.name[1:5]) for folder in folders)


def test_a_sweep_stays_within_its_disk_budget_by_dropping_the_worst_trials_checkpoints(tmp_path: Path):
    running = Running(tmp_path, budget=4 * MB)
    for index, s3 in enumerate((0.1, 0.7, 0.5, 0.6, 0.9)):
        running.trial(index, s3)
        assert sum(path.stat().st_size for path in running.experiment.trials.rglob("*.pt")) <= 4 * MB
    assert running.kept == [0, 1, 4]
    dropped = {t.index: t.checkpoints_dropped for t in running.ledger.record.trials.values() if t.checkpoints_dropped}
    assert dropped == {2: "--disk-budget 4 MB", 3: "--disk-budget 4 MB"}
    assert "t0002" in running.output.getvalue()
    assert "lost its checkpoints (1 MB): --disk-budget 4 MB" in running.output.getvalue()
    assert not running.driver.stopping


def test_a_sweep_that_can_drop_no_more_stops_its_trials_and_prints_why(tmp_path: Path):
    running = Running(tmp_path, budget=3.5 * MB)
    running.trial(0, 0.1)
    running.trial(1, 0.2)
    assert not running.driver.stopping
    running.trial(2)
    assert running.kept == [0, 1, 2]
    assert running.driver.stopping
    assert (
        "stopping: the checkpoints that are always kept take 4 MB, more than --disk-budget 4 MB"
        in running.output.getvalue()
    )
    assert running.driver.begin(Proposal(3, running.point)) is None


@pytest.mark.parametrize("budget", [None, 100 * MB])
def test_nothing_is_dropped_below_the_disk_budget(tmp_path: Path, budget: float | None):
    running = Running(tmp_path, budget=budget)
    for index in range(4):
        running.trial(index, 0.1 * index)
    assert running.kept == [0, 1, 2, 3]


def test_a_search_that_found_enough_starts_no_more_trials_and_is_not_interrupted(tmp_path: Path):
    running = Running(tmp_path, stop_when="no-improvement:2")
    for index, s3 in enumerate((0.3, 0.2, 0.1)):
        running.trial(index, s3)
    for index in (3, 4):
        assert running.driver.begin(Proposal(index, running.point)) is None
    assert not running.driver.stopping
    why = "no more trials start: no improvement in the 2 trials that ended since t0000"
    assert running.output.getvalue().count(why) == 1


def test_gpu_hours_count_all_attempts_and_gpus_and_stop_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    running, now = Running(tmp_path, gpu_hours=4, gpus_per_worker=1.0, n_workers=2), [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    running.trial(0)
    (trial,) = running.ledger.record.trials.values()
    trial.seconds = 3600.0  # of an earlier attempt
    parameters = {"trial_id": trial.trial_id}
    for seconds, stops in ((3500.0, False), (3600.0, True)):
        now[0] = seconds
        running.driver.progressed(parameters, {"step": 30})
        assert running.driver.stopping == stops


def test_a_request_from_outside_stops_the_driver_at_the_first_trial_that_it_ended(tmp_path: Path):
    running = Running(tmp_path)
    running.trial(0)
    (trial,) = running.ledger.record.trials
    runner = CliRunner()
    asked = runner.invoke(app, ["stop", str(tmp_path / "t0000")], catch_exceptions=False).stdout
    assert asked.startswith(f"asked {trial} to end at its next logged step, as pruned; watch it: vgsearch status")
    assert running.experiment.trial(trial).stop_request.exists()
    assert not running.driver.stopping
    assert json.loads(runner.invoke(app, ["stop", str(tmp_path), "--json"], catch_exceptions=False).stdout)["asked"]
    running.driver.ended({"trial_id": trial}, End("interrupted", "stopped", step=25))
    assert running.driver.stopping
    assert running.driver.begin(Proposal(1, running.point)) is None
    with pytest.raises(ConfigurationError, match="does not run, it is interrupted; there is nothing to stop"):
        runner.invoke(app, ["stop", str(tmp_path / "t0000")], catch_exceptions=False)
    running.ledger.append("sweep_ended", how="interrupted")
    with pytest.raises(ConfigurationError, match="its sweep was interrupted"):
        runner.invoke(app, ["stop", str(tmp_path)], catch_exceptions=False)

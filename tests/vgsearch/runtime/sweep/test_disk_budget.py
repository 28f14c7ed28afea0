"""A running sweep stays within its disk budget, and stops if the checkpoints to keep exceed it."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.builders import tiny_sweep
from vgsearch.experiment.end import End
from vgsearch.experiment.ledger import Ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.experiment.score import Score
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.study.proposal import Proposal
from vgsearch.runtime.sweep.driver import Driver
from vgsearch.terminal.sweep_table import SweepView

MB = 1_000_000


class Running:
    """A driver with simulated trials: each leaves one checkpoint of a megabyte and ends with a given score."""

    def __init__(self, folder: Path, budget: float) -> None:
        sweep = tiny_sweep(disk_budget_bytes=budget, keep=3)
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

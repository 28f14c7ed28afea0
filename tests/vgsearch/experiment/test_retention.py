"""A disk budget deletes checkpoints of the worst ended trials, never of the best, the paper's or running ones."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.builders import tiny_sweep
from vgsearch.cli import app
from vgsearch.experiment.ledger import Ledger, read_ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.experiment.retention import CheckpointDisk, droppable
from videogan.config import ConfigurationError

KB = 1000


class Recorded:
    """A ledger with trials of one checkpoint of `size` bytes each."""

    def __init__(self, folder: Path, size: int = 100 * KB, objective: tuple[str, ...] = ("s3",)) -> None:
        self.experiment, self.size = Experiment(folder / "runs" / "s"), size
        self.ledger = Ledger(self.experiment.ledger)
        self.ledger.append("sweep_started", objective=list(objective), space="mvt_tsa", budget="smoke")

    def trial(self, index: int, state: str = "running", look: float | None = None, **scores: float) -> str:
        name = f"t{index:04d}-aaaaaa"
        self.ledger.append(
            "trial_started", trial=name, index=index, overrides={}, is_paper_point=index == 0, n_steps=100
        )
        if look is not None:
            self.ledger.append("look", trial=name, step=50, look=look, losses={})
        if state != "running":
            summary = {key: {"mean": 0.5, "low": 0.4, "high": 0.6} for key in ("s3", "ser", "res")}
            fields: dict[str, Any] = {"scores": scores, "score": summary} if scores else {}
            self.ledger.append("trial_ended", trial=name, state=state, **fields)
        checkpoint = self.checkpoints(index)
        checkpoint.mkdir(parents=True)
        (checkpoint / "step00000050.pt").write_bytes(bytes(self.size))
        return name

    def checkpoints(self, index: int) -> Path:
        return self.experiment.trial(f"t{index:04d}-aaaaaa").checkpoints

    @property
    def kept(self) -> list[int]:
        return [trial.index for trial in self.ledger.record.trials.values() if self.checkpoints(trial.index).exists()]

    def order(self) -> list[int]:
        return [trial.index for trial in droppable(self.ledger.record)]


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    """The paper's point is the worst that was scored, t0001 the best; one runs, one was interrupted."""
    recorded = Recorded(tmp_path)
    for index, state, look, scores in (
        (0, "done", 0.2, {"s3": 0.1}), (1, "done", 0.8, {"s3": 0.9}), (2, "done", 0.9, {"s3": 0.5}),
        (3, "done", 0.1, {"s3": 0.6}), (4, "pruned", 0.4, {}), (5, "pruned", 0.3, {}), (6, "failed", 0.9, {}),
        (7, "diverged", None, {}), (8, "unscored", 0.5, {}), (9, "running", 0.1, {}), (10, "interrupted", 0.1, {}),
    ):  # fmt: skip
        recorded.trial(index, state, look, **scores)
    return recorded


def test_checkpoints_go_first_of_failed_then_of_pruned_unscored_and_the_worst_scored_trials(recorded: Recorded):
    assert recorded.order() == [7, 6, 5, 4, 8, 2, 3]


def test_all_trials_of_the_front_keep_their_checkpoints(tmp_path: Path):
    recorded = Recorded(tmp_path, objective=("s3", "-cost"))
    recorded.trial(0, "done", s3=0.5, cost=50)
    recorded.trial(1, "done", s3=0.9, cost=100)
    recorded.trial(2, "done", s3=0.6, cost=10)
    recorded.trial(3, "done", s3=0.7, cost=200)
    assert [trial.index for trial in recorded.ledger.record.front] == [1, 2]
    assert recorded.order() == [3]


def test_as_few_trials_as_necessary_lose_their_checkpoints_and_the_ledger_names_them(recorded: Recorded):
    # 11 trials of 100 kB and one more checkpoint for the running one: 1200 kB.
    disk = CheckpointDisk(recorded.experiment, recorded.ledger, budget=1000 * KB)
    assert (disk.used, disk.needed, disk.is_exceeded) == (1100 * KB, 1200 * KB, True)
    for trial, n_bytes in list(disk.to_drop()):
        assert disk.drop(trial, "budget")["bytes"] == n_bytes == 100 * KB
    assert recorded.kept == [0, 1, 2, 3, 4, 5, 8, 9, 10]
    assert (disk.used, disk.is_exceeded) == (900 * KB, False)
    assert list(disk.to_drop()) == []
    read = read_ledger(recorded.experiment.ledger)
    assert [t.index for t in read.trials.values() if t.checkpoints_dropped == "budget"] == [6, 7]


def test_protected_checkpoints_stay_even_beyond_the_budget(recorded: Recorded):
    disk = CheckpointDisk(recorded.experiment, recorded.ledger, budget=1.0)
    for trial, _ in list(disk.to_drop()):
        disk.drop(trial, "budget")
    assert recorded.kept == [0, 1, 9, 10]
    assert disk.is_exceeded


def test_a_trial_that_starts_again_writes_new_checkpoints(recorded: Recorded):
    disk = CheckpointDisk(recorded.experiment, recorded.ledger, budget=1100 * KB)
    (trial, _) = next(disk.to_drop())
    disk.drop(trial, "budget")
    recorded.ledger.append("trial_started", trial=trial.trial_id, index=trial.index, overrides={}, n_steps=100)
    assert trial.checkpoints_dropped == ""


@pytest.fixture
def saved(recorded: Recorded) -> Recorded:
    """The experiment with its sweep.yaml, ended, with Ray's temporary files."""
    recorded.ledger.append("trial_ended", trial="t0009-aaaaaa", state="interrupted")
    tiny_sweep(n_trials=11).save(recorded.experiment.sweep)
    for folder in (recorded.experiment.ray, recorded.checkpoints(3).parent / ".ray"):
        folder.mkdir()
        (folder / "state.json").write_bytes(bytes(10 * KB))
    return recorded


ALL_BUT_THE_BEST = ("--disk-budget", "1B")


def gc(recorded: Recorded, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["gc", str(recorded.experiment.folder), *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_gc_frees_exactly_what_its_dry_run_lists(saved: Recorded):
    before = saved.kept
    promised = json.loads(gc(saved, "--dry-run", "--json"))
    assert saved.kept == before
    assert saved.experiment.ray.exists()
    assert "would free 720 kB: checkpoints of 7 trials" in gc(saved, "--dry-run")
    freed = json.loads(gc(saved, *ALL_BUT_THE_BEST, "--json"))
    assert freed["freed_bytes"] == promised["freed_bytes"] == 720 * KB
    assert freed["trials"] == promised["trials"]
    assert saved.kept == [0, 1, 9, 10]
    assert not saved.experiment.ray.exists()
    assert "freed 0 B: checkpoints of 0 trials" in gc(saved, *ALL_BUT_THE_BEST)


def test_gc_without_a_budget_deletes_nothing(saved: Recorded):
    before = saved.kept
    with pytest.raises(ConfigurationError, match="gc needs --disk-budget SIZE"):
        gc(saved)
    assert saved.kept == before


def test_gc_deletes_what_a_linked_checkpoints_folder_contains(saved: Recorded, tmp_path: Path):
    elsewhere, linked = tmp_path / "big disk", saved.checkpoints(6)
    linked.rename(elsewhere)
    linked.symlink_to(elsewhere)
    freed = json.loads(gc(saved, *ALL_BUT_THE_BEST, "--json"))
    assert freed["freed_bytes"] == 720 * KB
    assert (list(elsewhere.iterdir()), linked.is_symlink()) == ([], True)
    assert read_ledger(saved.experiment.ledger).trials["t0006-aaaaaa"].checkpoints_dropped == "gc"


def test_gc_deletes_no_more_than_the_budget_requires(saved: Recorded):
    gc(saved, "--disk-budget", "0.9MB")
    assert saved.kept == [0, 1, 2, 3, 4, 5, 8, 9, 10]


def test_the_checkpoints_of_each_classs_generator_count_and_go_but_their_records_stay(tmp_path: Path):
    recorded = Recorded(tmp_path)
    for index, s3 in ((0, 0.5), (1, 0.9), (2, 0.1)):
        recorded.trial(index, "done", s3=s3)
    folder = recorded.experiment.trial("t0002-aaaaaa")
    for number in range(2):
        own = folder.of_class(number)
        (own / "checkpoints").mkdir(parents=True)
        (own / "checkpoints/step00000050.pt").write_bytes(bytes(recorded.size))
        (own / "metrics.jsonl").write_text("{}\n")
    disk = CheckpointDisk(recorded.experiment, recorded.ledger)
    assert disk.used == 5 * recorded.size
    ((worst, n_bytes),) = disk.to_drop()
    assert (worst.index, n_bytes) == (2, 3 * recorded.size)
    disk.drop(worst, "no room")
    assert folder.checkpoint_sizes() == {}
    assert disk.used == 2 * recorded.size
    assert (folder.of_class(1) / "metrics.jsonl").exists()

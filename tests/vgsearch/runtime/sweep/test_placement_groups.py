"""Workers of a pruned trial free their CPUs without the dashboard that Ray's own cleaner needs."""

import io
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import ray
from ray.util.placement_group import PlacementGroup, placement_group, placement_group_table
from rich.console import Console

from tests.builders import tiny_sweep
from vgsearch.experiment.ledger import Ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.cluster.cluster import Resources
from vgsearch.runtime.judging.prepare import prepare_inputs
from vgsearch.runtime.sweep.placement_groups import PlacementGroupReaper, new_mark
from vgsearch.runtime.sweep.tune import Driver, run_trials
from vgsearch.space.sweep import Sweep
from vgsearch.terminal.sweep_table import SweepView
from videogan.data.synthetic import make_moving_shapes

UNBEATABLE = 1e6


def a_sweep(n_trials: int, **facts: object) -> Sweep:
    """Two workers per trial; the median of one unreachable trial prunes each at its first look."""
    pruning = {"pruner": "median", "warm_up": 0, "n_startup_trials": 1, "smoothing": 1}
    small = {"model.channels": 2, "model.gru_hidden": 8, "loop.n_steps": 40, "loop.look_every": 1, "loop.log_every": 1}
    overrides = {**small, "evaluation.objective": "-kvd"}
    return tiny_sweep(limits={"pruning": pruning}, overrides=overrides, n_trials=n_trials, n_workers=2, **facts)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_pruned_trials_free_every_cpu(tmp_path: Path, ray_cluster: Resources):
    manifest = make_moving_shapes(tmp_path / "shapes", n_clips_each=1, n_groups=16)
    n_trials = int(ray_cluster.n_cpus) + 1
    sweep = a_sweep(n_trials, data=str(manifest.folder), manifest_digest=manifest.digest, n_classes=4)
    experiment, console = Experiment(tmp_path / "s"), Console(file=io.StringIO())
    ledger = Ledger(experiment.ledger)
    # Known from an earlier search, and so in the ledger: a study that disagrees with its ledger is rebuilt.
    unbeatable = {"experiment": "earlier", "trial_id": "t0000", "overrides": sweep.paper_points[0], "scores": {"kvd": -UNBEATABLE},
                  "looks": [[step, UNBEATABLE] for step in range(1, 41)]}  # fmt: skip
    ledger.append("warm_started", trials=[unbeatable])
    inputs = prepare_inputs(sweep, manifest, manifest.search_split, console)
    driver = Driver(experiment, sweep, inputs, ledger, SweepView(console, ledger.record, n_trials))
    run_trials(driver, [], ray_cluster)
    trials = ledger.record.trials.values()
    assert [trial.state for trial in trials] == ["pruned"] * n_trials
    # Pruned at its first look, a trial has trained: its workers had started, and held every CPU.
    assert all(trial.looks for trial in trials)
    deadline = time.monotonic() + 300
    while ray.available_resources().get("CPU", 0) < ray_cluster.n_cpus:
        assert time.monotonic() < deadline, ray.available_resources()
        time.sleep(0.2)
    assert {group["state"] for group in placement_group_table().values()} <= {"REMOVED"}
    assert not list(experiment.trials.glob("*/.marks/*"))


@dataclass
class EndedTrial:
    """The attributes of a Tune trial that the reaper reads."""

    config: dict[str, str]


@pytest.mark.usefixtures("ray_cluster")
def test_a_placement_group_started_late_by_a_dying_controller_is_removed_and_those_of_running_trials_stay(
    tmp_path: Path,
):
    folders = {name: tmp_path / name for name in ("ended", "running", "again")}
    for folder in folders.values():
        folder.mkdir()

    def group(name: str, mark: int | None = None) -> PlacementGroup:
        mark = new_mark(str(folders[name])) if mark is None else mark
        return placement_group([{"CPU": 0.1, "memory": mark}] * 2)

    def states(*groups: PlacementGroup) -> list[str]:
        return [placement_group_table(group)["state"] for group in groups]

    first, other = group("ended"), group("running")
    (mark,) = (int(path.name) for path in (folders["ended"] / ".marks").iterdir())
    foreign = placement_group([{"CPU": 0.1}])
    ray.get([first.ready(), other.ready(), foreign.ready()])
    reaper = PlacementGroupReaper()
    reaper.on_trial_complete(1, [], EndedTrial({"folder": str(folders["ended"])}))
    assert states(first, other, foreign) == ["REMOVED", "CREATED", "CREATED"]
    late = group("ended", mark)
    ray.get(late.ready())
    reaper.reap()
    assert states(late, other, foreign) == ["REMOVED", "CREATED", "CREATED"]
    # The groups of a retried attempt are removed, but not those of the next attempt, whose mark differs.
    reaper.on_trial_recover(1, [], EndedTrial({"folder": str(folders["running"])}))
    new = group("running")
    ray.get(new.ready())
    reaper.reap()
    assert states(other, new) == ["REMOVED", "CREATED"]

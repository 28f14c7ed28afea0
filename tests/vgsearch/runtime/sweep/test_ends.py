"""A real Tune run of fake trials: the ledger names every end, and the study stores it."""

import json
import os
import signal
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from ray import tune
from ray.tune.experiment import Trial
from rich.console import Console

from tests.builders import tiny_sweep
from tests.vgsearch.runtime.sweep.fake_trials import fake_trial, fills_disk, leaves_slowly, silent_trial, sound_trial
from vgsearch.experiment.ledger import Ledger, SweepRecord, TrialRecord, read_events, read_ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.cluster.cluster import Resources
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.study.study import open_study
from vgsearch.runtime.sweep.resuming import left_to_do
from vgsearch.runtime.sweep.tune import Driver, Executor, run_trials
from vgsearch.space.sweep import Sweep
from vgsearch.terminal.sweep_table import SweepView, event_line


def a_sweep(n_trials: int, max_concurrent: int = 2, **pruning: Any) -> Sweep:
    limits, batch = {"pruning": {"pruner": "none"} | pruning}, {"loop.batch_size": 16}
    return tiny_sweep(limits=limits, overrides=batch, n_trials=n_trials, max_concurrent=max_concurrent)


def driven(
    experiment: Experiment, sweep: Sweep, cluster: Resources, trial: Any = fake_trial, *callbacks: tune.Callback
) -> Driver:
    """Runs one driver on fake trials to its end."""
    ledger = Ledger(experiment.ledger)
    waiting = left_to_do(ledger.record, sweep)
    view = SweepView(Console(quiet=True), ledger.record, sweep.n_trials)
    driver = Driver(experiment, sweep, Inputs("data", "none", "cache"), ledger, view)
    run_trials(driver, waiting, cluster, Executor(trial, {"cpu": 1}, callbacks))
    return driver


@pytest.fixture(scope="module")
def ended(
    tmp_path_factory: pytest.TempPathFactory, ray_cluster: Resources
) -> tuple[Experiment, dict[int, TrialRecord]]:
    experiment = Experiment(tmp_path_factory.mktemp("ends"))
    driven(experiment, a_sweep(7), ray_cluster)
    return experiment, {trial.index: trial for trial in read_ledger(experiment.ledger).trials.values()}


def test_each_way_to_end_has_its_name_and_reason(ended):
    _, trials = ended
    states = ["done", "failed", "lost", "done", "done", "diverged", "done"]
    assert [trials[index].state for index in range(7)] == states, [trial.reason for trial in trials.values()]
    assert trials[1].reason.startswith("ValueError: no such thing")
    assert "its process or node died twice at one step" in trials[2].reason
    assert trials[1].log_tail == trials[2].log_tail == "what happened last\n"


def test_a_trial_out_of_memory_is_retried_at_half_its_batch_and_the_ledger_records_it(ended):
    experiment, trials = ended
    events = [event for event in read_events(experiment.ledger) if event.get("trial") == trials[3].trial_id]
    changes = [
        (event["event"], event.get("state"), event.get("changed")) for event in events if event["event"] != "look"
    ]
    half = {"loop.batch_size": 8}
    assert changes == [("trial_started", None, {}), ("trial_ended", "out_of_memory", None),
                    ("trial_started", None, half), ("trial_ended", "done", None)]  # fmt: skip
    assert trials[3].changed == half
    assert json.loads(experiment.trial(trials[3].trial_id).status.read_text())["changed"] == half
    assert (experiment.trial(trials[3].trial_id).folder / "attempts" / "1" / "log.txt").exists()


def test_the_study_stores_every_end_and_only_done_trials_can_be_best(ended):
    experiment, trials = ended
    states = defaultdict(list)
    for trial in open_study(experiment.study, a_sweep(7)).trials:
        states[trial.user_attrs["index"]].append(trial.state)
    complete, fail = TrialState.COMPLETE, TrialState.FAIL
    assert dict(states) == {0: [complete], 1: [fail], 2: [fail], 3: [fail, complete], 4: [complete], 5: [fail],
                          6: [complete]}  # fmt: skip
    assert {trial.index for trial in read_ledger(experiment.ledger).done} == {0, 3, 4, 6}
    assert all(trial.scores == {} for trial in trials.values() if trial.state != "done")


def test_every_end_is_printed_in_a_line(ended):
    experiment, _ = ended
    record, lines = SweepRecord(), []
    for event in read_events(experiment.ledger):
        record.apply(event)
        lines.append(event_line(event, record))
    for state in ("failed", "lost", "out_of_memory", "diverged"):
        assert any(f" {state} at step " in line for line in lines), state


def test_a_full_disk_stops_the_sweep_and_fails_no_trial(tmp_path: Path, ray_cluster: Resources):
    experiment = Experiment(tmp_path)
    driver = driven(experiment, a_sweep(6), ray_cluster, fills_disk)
    states = {trial.state for trial in driver.ledger.record.trials.values()}
    assert states == {"interrupted"}
    assert len(driver.ledger.record.trials) <= 3
    assert driver.halted == "no space left for x"
    assert {proposal.index for proposal in left_to_do(driver.ledger.record, a_sweep(6))} >= {0}


def events_of(experiment: Experiment, trial: int) -> list[tuple[str, str | None]]:
    """The starts and ends of a trial, with the state of each end."""
    events = [event for event in read_events(experiment.ledger) if event.get("trial", "").startswith(f"t{trial:04d}")]
    return [(event["event"], event.get("state")) for event in events if event["event"] != "look"]


class KillsIdleProcess(tune.Callback):
    """Kills the process of the first trial that ends, before Ray Tune gives it the next one."""

    killed = False

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        if not self.killed:
            self.killed = True
            os.kill(trial.last_result["pid"], signal.SIGKILL)


def test_a_trial_whose_process_died_before_it_began_starts_in_another(tmp_path: Path, ray_cluster: Resources):
    experiment, sweep = Experiment(tmp_path), a_sweep(3, max_concurrent=1)
    driven(experiment, sweep, ray_cluster, sound_trial, KillsIdleProcess())
    started, done = ("trial_started", None), ("trial_ended", "done")
    assert events_of(experiment, 0) == events_of(experiment, 2) == [started, done]
    assert events_of(experiment, 1) == [started, ("trial_ended", "interrupted"), started, done]
    states = [trial.state for trial in open_study(experiment.study, sweep).trials]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]


def test_a_process_runs_the_next_trial_once_a_pruned_one_has_ended_in_it(tmp_path: Path, ray_cluster: Resources):
    experiment, sweep = Experiment(tmp_path), a_sweep(3, max_concurrent=1, pruner="median", n_startup_trials=1)
    driven(experiment, sweep, ray_cluster, leaves_slowly)
    assert [trial.state for trial in read_ledger(experiment.ledger).trials.values()] == ["done", "pruned", "pruned"]


@pytest.mark.slow
def test_trials_that_hang_or_never_report_are_stopped_and_the_others_continue(
    tmp_path: Path, ray_cluster: Resources, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("vgsearch.runtime.sweep.watchdog.SECONDS_AT_LEAST", 30.0)
    monkeypatch.setattr("vgsearch.runtime.sweep.watchdog.TIMES_LONGEST", 1)
    experiment = Experiment(tmp_path)
    driven(experiment, a_sweep(4), ray_cluster, silent_trial)
    trials = {trial.index: trial for trial in read_ledger(experiment.ledger).trials.values()}
    states = ["done", "stalled", "stalled", "done"]
    assert [trials[index].state for index in range(4)] == states, [trial.reason for trial in trials.values()]
    assert "no sign of life for " in trials[1].reason
    assert "no sign of life at all for " in trials[2].reason
    assert trials[1].looks == {10: 0.1}
    assert trials[1].log_tail == "what happened last\n"

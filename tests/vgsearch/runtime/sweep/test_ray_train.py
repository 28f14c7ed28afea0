"""Trials on real Ray Train workers that fail: the trial ends at once, by its worker's own error."""

import re
from pathlib import Path

import pytest
from rich.console import Console

from tests.builders import tiny_sweep
from vgsearch.experiment.ledger import Ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.cluster.cluster import Resources
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.sweep.tune import Driver, run_trials
from vgsearch.terminal.sweep_table import SweepView


@pytest.mark.slow
def test_a_failed_worker_ends_its_trial_after_one_start_by_its_own_error_and_line(
    tmp_path: Path, ray_cluster: Resources
):
    sweep = tiny_sweep(n_workers=2, n_trials=1, overrides={"model.channels": 2, "model.gru_hidden": 8})
    experiment = Experiment(tmp_path / "s")
    ledger = Ledger(experiment.ledger)
    view = SweepView(Console(quiet=True), ledger.record, 1)
    nowhere = Inputs(str(tmp_path / "data"), "plain_32", str(tmp_path / "cache"), n_workers=2)
    driver = Driver(experiment, sweep, nowhere, ledger, view)
    run_trials(driver, [], ray_cluster)
    (trial,) = driver.record.trials.values()
    assert trial.state == "failed"
    assert re.fullmatch(r"\w+: .*/(data|cache)\b.* \(worker [01], .*\.py:\d+\)", trial.reason), trial.reason
    log = experiment.trial(trial.trial_id).log.read_text()
    assert log.count("training from step 0") == 1

"""A real driver, Ray Tune, ledger and study, millisecond trials: python -m tests.end_to_end.fake_sweep FOLDER N.

Trials write records and a checkpoint as real ones do, and their score depends on the chosen values, so that drills
of the search and of the driver need no training.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from ray import tune
from rich.console import Console

from tests.builders import CONSTRAINT, SIGMA_A, three_domains, tiny_sweep
from vgsearch.experiment.ledger import Ledger
from vgsearch.experiment.metrics_lines import whole_lines
from vgsearch.experiment.paths import Experiment, TrialFolder
from vgsearch.experiment.trial_records import TrialRecords
from vgsearch.runtime.cluster.cluster import connect
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.sweep.resuming import left_to_do
from vgsearch.runtime.sweep.tune import Driver, Executor, run_trials
from vgsearch.space.sweep import Sweep
from vgsearch.terminal.sweep_table import SweepView
from videogan.storage.atomic import write_atomically

N_STEPS, LOOK_EVERY = 30, 10
HEALTH = json.dumps({"states": {}, "vitals": {}})


def a_sweep(n_trials: int) -> Sweep:
    """Three domains of mvt_tsa, two trials at random before TPE, one trial at a time."""
    limits = {"n_startup_trials": 2, "pruning": {"pruner": "median", "n_startup_trials": 2}}
    return tiny_sweep(three_domains(), limits=limits, n_trials=n_trials, max_concurrent=1)


def millisecond_trial(parameters: dict[str, Any]) -> None:
    """Trains nothing, but resumes from its newest checkpoint, looks and scores."""
    folder, chosen = TrialFolder(Path(parameters["folder"])), parameters["hyperparameters"]
    saved = folder.checkpoints / "step"
    start = int(saved.read_text()) if saved.exists() else 0
    s3 = 1 - abs(chosen[SIGMA_A] - 0.3) + 0.1 * (chosen[CONSTRAINT] == "svc")
    with TrialRecords(folder, start) as records:
        for line in whole_lines(folder.metrics):
            if "look" in line:
                tune.report({"step": line["step"], "look": line["look"], "losses": {}, "health": HEALTH})
        for step in range(start + 1, N_STEPS + 1):
            time.sleep(0.001)
            records.write(step, {"loss": 1 / step})
            if step % LOOK_EVERY == 0:
                look = s3 * step / N_STEPS
                records.write(step, {"look": look})
                records.flush()
                write_atomically(saved, lambda stream, step=step: stream.write(str(step).encode()))
                tune.report({"step": step, "look": look, "losses": {}, "health": HEALTH})
        if parameters["trial_id"].startswith("t0003"):
            return tune.report({"step": N_STEPS, "losses": {}, "end": "diverged", "reason": "loss is not finite"})
        records.write_scores(N_STEPS, {"s3": s3})
    return tune.report({"step": N_STEPS, "losses": {}, "end": "done", "scores": {"s3": s3}, "score": summary(s3)})


def summary(s3: float) -> str:
    part = {"mean": s3, "low": s3, "high": s3}
    return json.dumps({"s3": part, "ser": part, "res": part})


def main(folder: Path, n_trials: int) -> None:
    """Runs one driver, from the state in the ledger to the end of the sweep."""
    experiment, sweep = Experiment(folder), a_sweep(n_trials)
    with experiment.lock(), connect() as cluster:
        ledger = Ledger(experiment.ledger)
        view = SweepView(Console(quiet=True), ledger.record, n_trials)
        driver = Driver(experiment, sweep, Inputs("data", "none", "cache"), ledger, view)
        run_trials(driver, left_to_do(ledger.record, sweep), cluster, Executor(millisecond_trial, {"cpu": 1}))
        ledger.append("sweep_ended", how="finished")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), int(sys.argv[2]))

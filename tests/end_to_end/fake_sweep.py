"""A real driver, Ray Tune, ledger and study, millisecond trials: python -m tests.end_to_end.fake_sweep FOLDER N.

Trials write records and a checkpoint as real ones do, and their score depends on the chosen values, so that drills
of the search and of the driver need no training. An ending signal stops the sweep as it stops a real one.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from ray import tune
from rich.console import Console

from tests.builders import CONSTRAINT, SIGMA_A, three_domains, tiny_sweep
from vgsearch.experiment.ledger import Ledger, SweepRecord, read_events
from vgsearch.experiment.metrics_lines import whole_lines
from vgsearch.experiment.paths import Experiment, TrialFolder
from vgsearch.experiment.trial_records import TrialRecords
from vgsearch.runtime.cluster.cluster import connect
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.sweep.launch import EXIT_INTERRUPTED, stop_on_interrupt
from vgsearch.runtime.sweep.resuming import left_to_do
from vgsearch.runtime.sweep.stop_request import StopRequest
from vgsearch.runtime.sweep.tune import Driver, Executor, run_trials
from vgsearch.runtime.waits.watch import RayLost
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
    """Trains nothing, but resumes from its newest checkpoint, looks, scores, and stops if asked."""
    stop = StopRequest(parameters["stop_request"])
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
            if stop.exists:
                return tune.report({"step": step, "losses": {}, "end": "interrupted", "reason": "stopped"})
        if parameters["trial_id"].startswith("t0003"):
            return tune.report({"step": N_STEPS, "losses": {}, "end": "diverged", "reason": "loss is not finite"})
        records.write_scores(N_STEPS, {"s3": s3})
    return tune.report({"step": N_STEPS, "losses": {}, "end": "done", "scores": {"s3": s3}, "score": summary(s3)})


def summary(s3: float) -> str:
    part = {"mean": s3, "low": s3, "high": s3}
    return json.dumps({"s3": part, "ser": part, "res": part})


def outcome(record: SweepRecord) -> list[tuple[Any, ...]]:
    """What must be the same after any fault."""
    return [(t.index, t.state, t.overrides, t.looks, t.scores) for t in record.trials.values()]


def assert_whole(folder: Path, record: SweepRecord) -> None:
    """Fails unless each trial ended once for good and its lines have neither a gap nor a repeated step."""
    ends = [e["trial"] for e in read_events(Experiment(folder).ledger) if e["event"] == "trial_ended"
            and e["state"] != "interrupted"]  # fmt: skip
    assert len(ends) == len(set(ends)) == len(record.trials)
    for trial in record.trials.values():
        lines = Experiment(folder).trial(trial.trial_id).metrics.read_text().splitlines()
        steps = [line["step"] for line in map(json.loads, lines) if "loss" in line]
        assert steps == list(range(1, steps[-1] + 1))
        assert trial.state == "pruned" or steps[-1] == N_STEPS
        looks = [line["step"] for line in map(json.loads, lines) if "look" in line]
        assert looks == list(range(LOOK_EVERY, steps[-1] + 1, LOOK_EVERY))


def main(folder: Path, n_trials: int) -> None:
    """Runs one driver, from the state in the ledger to the end of the sweep, or until a signal stops it."""
    experiment, sweep = Experiment(folder), a_sweep(n_trials)
    with experiment.lock(), connect() as cluster:
        experiment.withdraw_stop_request()
        ledger = Ledger(experiment.ledger)
        view = SweepView(Console(quiet=True), ledger.record, n_trials)
        driver = Driver(experiment, sweep, Inputs("data", "none", "cache"), ledger, view)
        driver.make_up_statuses()
        with stop_on_interrupt(experiment, Console(stderr=True)):
            run_trials(driver, left_to_do(ledger.record, sweep), cluster, Executor(millisecond_trial, {"cpu": 1}))
        ledger.append("sweep_ended", how="interrupted" if driver.stopping else "finished")
        if driver.stopping:
            sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]).absolute(), int(sys.argv[2]))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except RayLost as error:
        sys.exit(f"error: {error}")

"""Measure the platform's overhead per trial: `python -m tests.benchmarks.trial_overhead` prints seconds and targets.

Runs sweeps of short trials, one at a time, as `vgsearch tune` does on its own Ray: inline, and under Ray Train with
two workers. The overhead is the time from the end of one trial to the end of the next, minus the time that the trial's
log covers (reading clips, training, looking, scoring). The first trial, for which processes start, is printed
separately. The second column subtracts only training steps and scoring, so it counts reading clips, classifiers and
one look as overhead too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from vgsearch.experiment.paths import Experiment, TrialFolder
from videogan.data.synthetic import make_moving_shapes

VGSEARCH = [sys.executable, "-c", "from vgsearch.cli import main; main()"]
SETTINGS = {
    "model.channels": 2, "model.gru_hidden": 8, "evaluation.objective": "-kvd", "loop.n_steps": 4, "loop.look_every": 4,
    "loop.log_every": 4,
}  # fmt: skip
TARGETS = {1: "<= 3", 2: "<= 12"}  # Ray Train workers per trial -> seconds
NAMES = {1: "inline", 2: "ray_train, 2 workers"}


def swept(folder: Path, data: Path, n_workers: int, n_trials: int) -> Experiment:
    """Run a sweep, one trial at a time, to its end."""
    overrides = [part for path, value in SETTINGS.items() for part in ("--set", f"{path}={value}")]
    arguments = ["--data", data, "--budget", "smoke", "--name", f"w{n_workers}", "--trials", n_trials, *overrides]
    arguments += ["--max-concurrent", 1, "--workers-per-trial", n_workers]
    command = [*VGSEARCH, "tune", "mvt_tsa", *map(str, arguments)]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return Experiment(folder / "runs" / f"w{n_workers}")


def overheads(experiment: Experiment) -> list[tuple[float, float]]:
    """Overhead seconds of each trial: without its log's time, and without only its steps and scoring."""
    overheads, ended = [], None
    for line in experiment.ledger.read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "trial_started" and ended is None:
            ended = event["time"]
        if event["event"] == "trial_ended":
            assert event["state"] == "done", event
            spent, worked = event["time"] - ended, _seconds_of(experiment.trial(event["trial"]))
            overheads.append(tuple(spent - seconds for seconds in worked))
            ended = event["time"]
    return overheads


def _seconds_of(trial: TrialFolder) -> tuple[float, float]:
    """Seconds between the first and last line of the log, and seconds of training steps and scoring."""
    logged = [(_time_of(line), line) for line in trial.log.read_text().splitlines() if line[:2] == "20"]
    scoring = next(time for time, line in logged if line.endswith("scoring"))
    lines = [json.loads(line) for line in trial.metrics.read_text().splitlines()]
    training = max(line.get("seconds_training", 0.0) for line in lines)
    return logged[-1][0] - logged[0][0], training + logged[-1][0] - scoring


def _time_of(line: str) -> float:
    return datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").timestamp()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--workers", type=int, nargs="+", choices=TARGETS, default=list(TARGETS))
    chosen = parser.parse_args()
    print(f"{chosen.trials} trials of {SETTINGS['loop.n_steps']} steps each, load {os.getloadavg()[0]:.1f}")
    print("| executor | first trial, s | median of the others, s | all but steps and scoring, s | target, s |")
    print("|---" * 5 + "|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        data = make_moving_shapes(Path(folder) / "shapes", n_clips_each=1, n_groups=16).folder
        for n_workers in chosen.workers:
            first, *others = overheads(swept(Path(folder), data, n_workers, chosen.trials))
            by_log, by_steps = (statistics.median(column) for column in zip(*others, strict=True))
            row = f"| {NAMES[n_workers]} | {first[0]:.1f} | {by_log:.2f} | {by_steps:.2f} | {TARGETS[n_workers]} |"
            print(row, flush=True)
    print(f"load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

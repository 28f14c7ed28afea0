"""What the platform adds to a trial: `python -m tests.benchmarks.trial_overhead` prints seconds beside their targets.

Sweeps of trials of a few steps, one at a time, as `vgsearch tune` runs them on a Ray of its own: inline, and under
Ray Train with one worker process beside another. From the end of one trial to the end of the next, less what the
trial's own log spans (reading clips, training, looking, scoring); the first trial, for which processes start, is
printed separately. The second column takes only training steps and scoring off, and so counts reading clips,
classifiers and one look as overhead too.
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
TARGETS = {1: "<= 3", 2: "<= 12"}  # Ray Train workers a trial -> seconds
NAMES = {1: "inline", 2: "ray_train, 2 workers"}


def swept(folder: Path, data: Path, n_workers: int, n_trials: int) -> Experiment:
    """A finished sweep, one trial at a time."""
    overrides = [part for path, value in SETTINGS.items() for part in ("--set", f"{path}={value}")]
    arguments = ["--data", data, "--budget", "smoke", "--name", f"w{n_workers}", "--trials", n_trials, *overrides]
    arguments += ["--max-concurrent", 1, "--workers-per-trial", n_workers]
    command = [*VGSEARCH, "tune", "mvt_tsa", *map(str, arguments)]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return Experiment(folder / "runs" / f"w{n_workers}")


def overheads(experiment: Experiment) -> list[tuple[float, float]]:
    """For each trial its overhead in seconds by its log, and by its steps and scoring alone."""
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
    """Between the first and the last line of the log; of training steps and scoring."""
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
        data = make_moving_shapes(Path(folder) / "shapes", n_clips_each=1).folder
        for n_workers in chosen.workers:
            first, *others = overheads(swept(Path(folder), data, n_workers, chosen.trials))
            by_log, by_steps = (statistics.median(column) for column in zip(*others, strict=True))
            row = f"| {NAMES[n_workers]} | {first[0]:.1f} | {by_log:.2f} | {by_steps:.2f} | {TARGETS[n_workers]} |"
            print(row, flush=True)
    print(f"load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

"""Measure a sweep of 1,000 trials: `python -m tests.benchmarks.sweep_scale` prints what grows with their number.

The driver, the ledger, the study and Ray Tune are those of `vgsearch tune`; only the trials are fake: each waits a
millisecond, looks three times and ends with a score computed from its values. For each hundred trials it prints the
wall time and the driver's CPU time per trial, the time of `vgsearch status`, and the driver's memory; and once the
proportional set size of the sweep before its first trial, including Ray's processes. `--nodes 4 --cpus 8` runs it on
simulated nodes beside a head without CPUs. Straight lines through the measurements estimate 10,000 trials.
"""

import argparse
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console

from tests.builders import tiny_sweep
from vgsearch.experiment.ledger import Ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.cluster.cluster import connect
from vgsearch.terminal.sweep_table import SweepView

VGSEARCH = [sys.executable, "-c", "from vgsearch.cli import main; main()"]
LOOKS = (50, 100, 150)
HEALTHY = json.dumps({"states": {}, "vitals": {}})


def fake_trial(parameters: dict[str, Any]) -> None:
    """A fake trial of a millisecond; its score falls with the distance of lr_g from 1e-4."""
    import math

    from ray import tune

    time.sleep(0.001)
    s3 = 0.9 - 0.1 * abs(math.log(parameters["config"]["optimiser"]["lr_g"] / 1e-4))
    for step in LOOKS:
        tune.report({"step": step, "losses": {"d_image": 1.0}, "look": s3 * step / 150, "health": HEALTHY})
    summary = {name: {"mean": s3, "low": s3, "high": s3} for name in ("s3", "ser", "res")}
    scores = {"s3": s3, "ser": s3, "res": s3, "cost": 0.001}
    tune.report({"step": 200, "losses": {}, "end": "done", "scores": scores, "score": json.dumps(summary)})


class Watched(SweepView):
    """A view that measures after each hundred ended trials, outside the measured time."""

    def __init__(self, experiment: Experiment, record: Any, n_trials: int, every: int) -> None:
        super().__init__(Console(file=io.StringIO()), record, n_trials)
        self._experiment, self._every, self._n = experiment, every, 0
        self._began = time.perf_counter(), time.process_time()
        self.rows: list[tuple[float, ...]] = []

    def print_event(self, event: dict[str, Any]) -> None:
        super().print_event(event)
        self._n += event["event"] == "trial_ended"
        if event["event"] == "trial_ended" and self._n % self._every == 0:
            now = time.perf_counter(), time.process_time()
            wall, cpu = ((after - before) / self._every for before, after in zip(self._began, now, strict=True))
            rss, status = psutil.Process().memory_info().rss / 1e6, status_seconds(self._experiment)
            size = self._experiment.ledger.stat().st_size / 1e3
            self.rows.append((self._n, cpu, size, status, rss))
            print(f"| {self._n} | {wall:.3f} | {cpu:.3f} | {size:.0f} | {status:.2f} | {rss:.0f} |", flush=True)
            self._began = time.perf_counter(), time.process_time()


def status_seconds(experiment: Experiment) -> float:
    """CPU seconds of `vgsearch status` in a new process."""
    before = psutil.Process().cpu_times()
    subprocess.run([*VGSEARCH, "status", str(experiment.folder)], check=True, stdout=subprocess.DEVNULL)
    after = psutil.Process().cpu_times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def proportional_set_size() -> float:
    """Gigabytes of this process and its descendants; a page shared by n processes counts 1/n for each."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(process.memory_full_info().pss for process in processes) / 1e9


@contextmanager
def simulated(n_nodes: int, n_cpus: int) -> Iterator[str | None]:
    """The address of a simulated cluster on this machine: a head without CPUs and nodes; None for a local Ray."""
    if not n_nodes:
        yield None
        return
    from ray.cluster_utils import Cluster

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "dashboard_port": port})
    for _ in range(n_nodes):
        cluster.add_node(num_cpus=n_cpus)
    try:
        yield cluster.address
    finally:
        cluster.shutdown()


def print_extrapolation(rows: list[tuple[float, ...]]) -> None:
    """Extrapolates straight lines through the second half of the measurements: a guess, not a measurement."""
    measured = np.array(rows[len(rows) // 2 :])
    print("| | per 1,000 trials | at the end | extrapolated to 10,000 |")
    print("|---" * 4 + "|")
    for column, name in enumerate(("driver's CPU per trial, s", "ledger, kB", "status, s", "driver, MB"), 1):
        slope, start = np.polyfit(measured[:, 0], measured[:, column], 1)
        print(f"| {name} | {1000 * slope:.3g} | {measured[-1, column]:.3g} | {start + 10_000 * slope:.3g} |")


def run(n_trials: int, every: int, folder: Path, nodes: tuple[int, int]) -> None:
    pruning = {"pruner": "median", "warm_up": 60, "n_startup_trials": 10}
    sweep, experiment = tiny_sweep(limits={"pruning": pruning}, n_trials=n_trials), Experiment(folder / "s")
    ledger = Ledger(experiment.ledger)
    ledger.append("sweep_started", space="mvt_tsa", budget="smoke", objective=["s3"], seed=0)
    with simulated(*nodes) as address, connect(address) as cluster:
        # Imported here, because ray reads its environment when it is imported, and `connect` sets it.
        from vgsearch.runtime.feed.inputs import Inputs
        from vgsearch.runtime.study.proposal import Proposal
        from vgsearch.runtime.sweep import tune

        time.sleep(10)
        print(f"idle sweep, proportional set size {proportional_set_size():.2f} GB (<= 2)", flush=True)
        view = Watched(experiment, ledger.record, n_trials, every)
        driver = tune.Driver(experiment, sweep, Inputs("data", "plain_32", "cache"), ledger, view)
        print("| trials | wall per trial, s | driver's CPU per trial, s | ledger, kB | status, s | driver, MB |")
        print("|---" * 6 + "|", flush=True)
        fake_trials = tune.Executor(fake_trial, {"cpu": 1})
        tune.run_trials(driver, [Proposal(0, sweep.paper_points[0], is_paper_point=True)], cluster, fake_trials)
    if len(view.rows) >= 4:
        print_extrapolation(view.rows)
    record = ledger.record
    print(f"{record.count('done')} done, {record.count('pruned')} pruned, load {os.getloadavg()[0]:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--nodes", type=int, default=0, help="simulated ones beside a head; 0: a local Ray")
    parser.add_argument("--cpus", type=int, default=8, help="of each simulated node, each for one trial")
    chosen = parser.parse_args()
    print(f"{chosen.trials} trials, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        run(chosen.trials, chosen.every, Path(folder), (chosen.nodes, chosen.cpus))


if __name__ == "__main__":
    main()

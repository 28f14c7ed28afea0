"""Pretended GPUs on a real Ray: where trials are placed, and a GPU that fails is left out. No trial computes there."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune
from rich.console import Console

from tests.builders import tiny_sweep
from tests.end_to_end.fake_sweep import millisecond_trial
from vgsearch.experiment.ledger import GPU_LEFT_OUT, Ledger, read_events
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.cluster.cluster import Resources, resources
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.sweep.broken_device import BrokenDevice, this_gpu
from vgsearch.runtime.sweep.tune import Driver, Executor, run_trials
from vgsearch.terminal.sweep_table import SweepView

pytestmark = [pytest.mark.slow, pytest.mark.timeout(230)]
N_GPUS, SECONDS_OF_A_TRIAL = 2, 0.3


@pytest.fixture(scope="module")
def two_gpus() -> Iterator[Resources]:
    ray.init(address="local", num_cpus=8, num_gpus=N_GPUS, include_dashboard=False, log_to_driver=False)
    yield resources(is_open=False)
    ray.shutdown()


def log_of(parameters: dict[str, Any]) -> Path:
    return Path(parameters["folder"]).parents[1] / "attempts.jsonl"


def placed_trial(parameters: dict[str, Any]) -> None:
    """A fake trial that notes its GPU, and when it began and ended."""
    began = time.time()
    time.sleep(SECONDS_OF_A_TRIAL)
    millisecond_trial(parameters)
    seen = {"gpu": this_gpu().number, "sees": os.environ["CUDA_VISIBLE_DEVICES"], "from": began, "to": time.time()}
    with open(log_of(parameters), "a") as log:
        log.write(json.dumps(seen) + "\n")


def trial_of_a_broken_gpu(parameters: dict[str, Any], broken: tuple[str, ...] = ("0",)) -> None:
    """A fake trial whose GPU fails at once, if it is GPU 0."""
    gpu = this_gpu()
    with open(log_of(parameters), "a") as log:
        log.write(json.dumps({"gpu": gpu.number, "trial": parameters["trial_id"], "process": os.getpid()}) + "\n")
    if gpu.number in broken:
        raise BrokenDevice(gpu, "AcceleratorError: CUDA error: an illegal memory access was encountered")
    time.sleep(SECONDS_OF_A_TRIAL)
    tune.report({"step": 20, "losses": {}, "end": "done", "scores": {"s3": 0.6}, "score": "{}"})


def trial_of_broken_gpus(parameters: dict[str, Any]) -> None:
    trial_of_a_broken_gpu(parameters, ("0", "1"))


def driven(folder: Path, cluster: Resources, trial: Any, gpus: float, n_trials: int) -> tuple[Driver, list[dict]]:
    """Runs a sweep of fake trials; returns its driver and what the attempts noted."""
    limits = {"pruning": {"pruner": "none"}}
    sweep = tiny_sweep(limits=limits, n_trials=n_trials, gpus_per_worker=gpus)
    experiment = Experiment(folder)
    ledger = Ledger(experiment.ledger)
    view = SweepView(Console(quiet=True), ledger.record, n_trials)
    driver = Driver(experiment, sweep, Inputs("data", "none", "cache", gpus_per_worker=gpus), ledger, view)
    run_trials(driver, [], cluster, Executor(trial, {"cpu": 1, "gpu": gpus}))
    return driver, [json.loads(line) for line in (experiment.folder / "attempts.jsonl").read_text().splitlines()]


def test_a_gpu_on_which_three_trials_failed_is_told_and_left_out_and_the_others_go_on(
    tmp_path: Path, two_gpus: Resources
):
    driver, seen = driven(tmp_path, two_gpus, trial_of_a_broken_gpu, 1, 7)
    trials = driver.record.trials.values()
    (told,) = [event for event in read_events(driver.ledger.path) if event["event"] == GPU_LEFT_OUT]
    assert told["why"].startswith("GPU 0 of ")
    assert "an illegal memory access" in told["why"]
    failed = {each["trial"] for each in seen if each["gpu"] == "0"}
    assert 3 <= len(failed) <= 4, "one more may be placed there before the GPU is held"
    processes = [each["process"] for each in seen if each["gpu"] == "0"]
    assert len(set(processes)) == len(processes), "a process ends with the device that it broke"
    states = Counter(trial.state for trial in trials)
    assert set(states) == {"done", "failed"}
    assert states["done"] >= 7 - len(failed)
    assert all("GPU 0 of" in trial.reason for trial in trials if trial.state == "failed")
    deadline = time.monotonic() + 60
    while ray.available_resources().get("GPU") != N_GPUS:  # given back at the end
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_fractions_fill_each_gpu_and_never_overfill_one(tmp_path: Path, two_gpus: Resources):
    driver, seen = driven(tmp_path, two_gpus, placed_trial, 0.5, 6)
    assert {trial.state for trial in driver.record.trials.values()} <= {"done", "diverged"}  # the fourth diverges
    assert len(seen) == 6
    assert all(each["gpu"] == each["sees"] for each in seen)
    at_once = Counter(
        sum(other["gpu"] == each["gpu"] and other["from"] < each["to"] and each["from"] < other["to"] for other in seen)
        for each in seen
    )
    assert max(at_once) <= 4  # a trial overlaps itself, its neighbour, and the two that follow them
    assert {each["gpu"] for each in seen} == {"0", "1"}
    moments = [each["from"] for each in seen]
    running = [Counter(e["gpu"] for e in seen if e["from"] <= moment <= e["to"]) for moment in moments]
    assert max(max(counts.values()) for counts in running) == 2


def test_without_a_gpu_left_the_sweep_stops_and_says_why(tmp_path: Path, two_gpus: Resources):
    driver, _ = driven(tmp_path, two_gpus, trial_of_broken_gpus, 1, 30)
    assert driver.halted.startswith("3 trials failed on each of 2 GPUs")
    assert len(driver.record.trials) < 12

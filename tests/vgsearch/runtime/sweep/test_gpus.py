"""Pretended GPUs on a real Ray: where trials are placed, and a GPU that fails is left out. No trial computes there."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import cloudpickle, tune
from rich.console import Console

from tests.builders import tiny_sweep
from tests.end_to_end.fake_sweep import millisecond_trial
from tests.waiting import wait_until
from vgsearch.experiment.ledger import GPU_LEFT_OUT, Ledger, read_events
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.cluster.cluster import Resources, resources
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.sweep.broken_device import BrokenDevice, Gpu, this_gpu
from vgsearch.runtime.sweep.broken_gpus import BrokenGpus
from vgsearch.runtime.sweep.tune import Driver, Executor, run_trials
from vgsearch.terminal.sweep_table import SweepView

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
N_GPUS, A_GPU = 2, 1
ERROR = "AcceleratorError: CUDA error: an illegal memory access was encountered"


@pytest.fixture(scope="module")
def two_gpus() -> Iterator[Resources]:
    ray.init(address="local", num_cpus=8, num_gpus=N_GPUS, include_dashboard=False, log_to_driver=False)
    yield resources(is_open=False)
    ray.shutdown()


class User:
    """An actor that has a GPU and tells which."""

    def gpu(self) -> str:
        return this_gpu().number


@dataclass
class FailedTrial:
    """The attributes of a Tune trial that are read when it fails."""

    trial_id: str
    pickled_error_file: str


def failed_on(gpu: Gpu, trial: str, folder: Path) -> FailedTrial:
    file = folder / trial
    file.write_bytes(cloudpickle.dumps(BrokenDevice(gpu, ERROR)))
    return FailedTrial(trial, str(file))


def test_the_gpu_that_failed_three_trials_is_held_and_not_the_one_that_ray_would_give_first(
    tmp_path: Path, two_gpus: Resources
):
    told: list[str] = []
    halted: list[str] = []
    broken = BrokenGpus(N_GPUS, told.append, halted.append)
    gpu = Gpu(ray.nodes()[0]["NodeID"], ray.util.get_node_ip_address(), "1")
    for trial in ("a", "b", "a", "b"):
        broken.on_trial_error(1, [], failed_on(gpu, trial, tmp_path))
    assert told == [], "two trials, twice each"
    broken.on_trial_error(1, [], failed_on(gpu, "c", tmp_path))
    assert told == [f"GPU 1 of {gpu.host} is left out: 3 trials failed there, the last by {ERROR}"]

    def is_held() -> bool:
        broken.on_step_end(1, [])
        return bool(broken._left_out)

    wait_until(is_held, ray.available_resources)
    wait_until(lambda: ray.available_resources().get("GPU") == 1, ray.available_resources)
    users = [ray.remote(num_cpus=1, num_gpus=0.5)(User).remote() for _ in range(3)]
    seen = [user.gpu.remote() for user in users]
    assert ray.get(seen[:2]) == ["0", "0"]
    assert ray.wait(seen[2:], timeout=2)[0] == [], "the third has no GPU"
    assert halted == []
    broken.on_trial_error(1, [], failed_on(gpu, "d", tmp_path))
    assert len(told) == 1
    for user in users:
        ray.kill(user)
    other = Gpu(gpu.node, gpu.host, "0")
    for trial in ("e", "f", "g"):
        broken.on_trial_error(1, [], failed_on(other, trial, tmp_path))
    assert [reason.partition(";")[0] for reason in halted] == ["3 trials failed on each of 2 GPUs"]
    broken.on_experiment_end([])
    wait_until(lambda: ray.available_resources().get("GPU") == N_GPUS, ray.available_resources)


def test_a_search_that_ends_while_it_looks_for_a_gpu_holds_none(tmp_path: Path, two_gpus: Resources):
    broken = BrokenGpus(N_GPUS, lambda told: None, lambda reason: None)
    gpu = Gpu(ray.nodes()[0]["NodeID"], ray.util.get_node_ip_address(), "1")
    for trial in ("a", "b", "c"):
        broken.on_trial_error(1, [], failed_on(gpu, trial, tmp_path))
    broken.on_experiment_end([])
    users = [ray.remote(num_cpus=1, num_gpus=1)(User).remote() for _ in range(N_GPUS)]
    assert set(ray.get([user.gpu.remote() for user in users], timeout=300)) == {"0", "1"}
    for user in users:
        ray.kill(user)
    wait_until(lambda: ray.available_resources().get("GPU") == N_GPUS, ray.available_resources)


def attempts(folder: Path) -> list[dict[str, Any]]:
    """What the attempts at the trials of an experiment noted so far."""
    log = folder / "attempts.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def note(folder: Path, **facts: Any) -> None:
    with open(folder / "attempts.jsonl", "a") as log:
        log.write(json.dumps(facts) + "\n")


def experiment_of(parameters: dict[str, Any]) -> Path:
    return Path(parameters["folder"]).parents[1]


def half_a_gpu_trial(parameters: dict[str, Any]) -> None:
    """A fake trial that goes on once four have begun, as many as fit at a time."""
    folder, gpu = experiment_of(parameters), this_gpu().number
    note(folder, gpu=gpu, sees=os.environ["CUDA_VISIBLE_DEVICES"], begins=time.time())
    wait_until(lambda: sum("begins" in each for each in attempts(folder)) >= 2 * N_GPUS, lambda: attempts(folder))
    millisecond_trial(parameters)
    note(folder, gpu=gpu, ends=time.time())


def trial_of_a_broken_gpu(parameters: dict[str, Any]) -> None:
    """A fake trial that fails on GPU 0; on the other it goes on once three trials have failed."""
    folder, gpu = experiment_of(parameters), this_gpu()
    note(folder, gpu=gpu.number, trial=parameters["trial_id"], process=os.getpid())
    if gpu.number == "0":
        raise BrokenDevice(gpu, ERROR)
    wait_until(
        lambda: len({each["trial"] for each in attempts(folder) if each["gpu"] == "0"}) >= 3, lambda: attempts(folder)
    )
    tune.report({"step": 20, "losses": {}, "end": "done", "scores": {"s3": 0.6}, "score": "{}"})


def driven(folder: Path, cluster: Resources, trial: Any, gpus: float, n_trials: int) -> Driver:
    """Runs a sweep of fake trials to its end."""
    sweep = tiny_sweep(limits={"pruning": {"pruner": "none"}}, n_trials=n_trials, gpus_per_worker=gpus)
    experiment = Experiment(folder)
    ledger = Ledger(experiment.ledger)
    view = SweepView(Console(quiet=True), ledger.record, n_trials)
    driver = Driver(experiment, sweep, Inputs("data", "none", "cache", gpus_per_worker=gpus), ledger, view)
    run_trials(driver, [], cluster, Executor(trial, {"cpu": 1, "gpu": gpus}))
    return driver


def test_fractions_fill_each_gpu_and_never_overfill_one(tmp_path: Path, two_gpus: Resources):
    driver = driven(tmp_path, two_gpus, half_a_gpu_trial, 0.5, 5)
    assert {trial.state for trial in driver.record.trials.values()} == {"done", "diverged"}  # the fourth diverges
    begun = [each for each in attempts(tmp_path) if "begins" in each]
    ended = [each for each in attempts(tmp_path) if "ends" in each]
    assert all(each["gpu"] == each["sees"] for each in begun)
    assert Counter(each["gpu"] for each in begun[:4]) == {"0": 2, "1": 2}
    last = begun[4]
    assert min(each["ends"] for each in ended if each["gpu"] == last["gpu"]) <= last["begins"]


def test_a_search_goes_on_without_the_gpu_on_which_three_trials_failed(tmp_path: Path, two_gpus: Resources):
    driver = driven(tmp_path, two_gpus, trial_of_a_broken_gpu, A_GPU, 6)
    trials = driver.record.trials.values()
    (told,) = [event["why"] for event in read_events(driver.ledger.path) if event["event"] == GPU_LEFT_OUT]
    assert told.startswith("GPU 0 of ")
    failed = [each for each in attempts(tmp_path) if each["gpu"] == "0"]
    assert 3 <= len({each["trial"] for each in failed}) <= 4, "one more may be placed there before the GPU is held"
    assert len({each["process"] for each in failed}) == len(failed), "a process ends with the device that it broke"
    states = Counter(trial.state for trial in trials)
    assert set(states) == {"done", "failed"}
    assert states["done"] >= 2
    assert all("GPU 0 of" in trial.reason for trial in trials if trial.state == "failed")
    wait_until(lambda: ray.available_resources().get("GPU") == N_GPUS, ray.available_resources)

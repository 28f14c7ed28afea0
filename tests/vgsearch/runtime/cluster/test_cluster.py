"""How many trials run in parallel: the nodes' capacity with whole and shared GPUs, and trials that never fit."""

import pytest
import ray
from ray._private import worker as ray_worker

from vgsearch.runtime.cluster.cluster import Node, Resources, _short_errors
from videogan.config import ConfigurationError

TWO_GPUS = Resources((Node(n_cpus=16, n_gpus=2),))


@pytest.mark.parametrize(
    ("nodes", "n_workers", "gpus", "reserved", "n_trials"),
    [
        ([Node(2)], 1, 0, 0, 2),
        ([Node(8)], 3, 0, 0, 2),
        ([Node(8)], 1, 0, 1, 7),
        ([Node(16, 2)], 1, 1, 0, 2),
        ([Node(16, 2)], 1, 0.5, 0, 4),
        ([Node(3, 2)], 1, 0.5, 0, 3),
        ([Node(16, 2)], 2, 1, 0, 1),
        ([Node(16, 2)], 1, 0.6, 0, 2),
        ([Node(16, 1)], 1, 1 / 3, 0, 3),
        ([Node(16, 1)], 1, 0.1, 0, 10),
        ([Node(16, 4), Node(16)], 1, 1, 0, 4),
        ([Node(1, 4), Node(16)], 1, 1, 0, 1),
        ([Node(16, 3), Node(16, 3)], 2, 1, 0, 3),
        ([Node(4, 4), Node(4, 4)], 8, 1, 0, 1),
    ],
)
def test_as_many_trials_run_as_fit_on_the_nodes(
    nodes: list[Node], n_workers: int, gpus: float, reserved: float, n_trials: int
):
    assert Resources(tuple(nodes)).max_concurrent(n_workers, gpus, reserved) == n_trials


@pytest.mark.parametrize(
    ("cluster", "n_workers", "gpus", "message"),
    [
        (Resources((Node(8),)), 1, 1, r"no node has a GPU. Use --gpus-per-worker 0\."),
        (Resources((Node(8),)), 1, 0.5, r"--gpus-per-worker 0.5: no node has a GPU"),
        (TWO_GPUS, 1, 3, r"a part of one GPU or 1, .* got 3\. For .* use --workers-per-trial 3 --gpus-per-worker 1"),
        (TWO_GPUS, 1, 1.5, r"got 1.5\. For several GPUs a trial use --workers-per-trial 2 --gpus-per-worker 1"),
        (TWO_GPUS, 2, 0.5, r"--gpus-per-worker 0.5: the 2 workers .* GPU of their own, .* Use --gpus-per-worker 1, or"),
        (TWO_GPUS, 5, 1, r"a trial needs 5 workers with 1 CPU and 1 GPU each; the cluster has 16 CPUs and 2 GPUs"),
    ],
)
def test_a_trial_that_never_fits_is_refused_with_the_remedy(
    cluster: Resources, n_workers: int, gpus: float, message: str
):
    with pytest.raises(ConfigurationError, match=message):
        cluster.max_concurrent(n_workers, gpus)


def test_an_error_of_ray_is_one_line_on_stderr_and_leaves_stdout_to_programs(capsys: pytest.CaptureFixture[str]):
    lines = ["A worker died while executing a task. To troubleshoot the problem, check the logs.\nLease ID: 08"]
    with _short_errors():
        ray_worker.print_to_stdstream({"lines": lines, "pid": "raylet", "is_err": False}, ignore_prefix=False)
    assert capsys.readouterr() == ("", "Ray: A worker died while executing a task\n")


def test_ray_never_splits_a_worker_over_two_gpus():
    """Uses simulated GPUs: with 0.6 of a GPU per worker, two GPUs hold two workers, although 2 / 0.6 is more than 3."""
    n_admitted = Resources((Node(8, 2),)).max_concurrent(1, 0.6)
    ray.init(address="local", num_cpus=8, num_gpus=2, include_dashboard=False, log_to_driver=False)
    try:

        @ray.remote(num_cpus=1, num_gpus=0.6)
        class Worker:
            def ready(self) -> bool:
                return True

        workers = [Worker.remote() for _ in range(n_admitted + 1)]
        started, waiting = ray.wait([w.ready.remote() for w in workers], num_returns=n_admitted, timeout=120)
        assert len(started) == n_admitted == 2
        assert ray.wait(waiting, timeout=2)[0] == []
    finally:
        ray.shutdown()

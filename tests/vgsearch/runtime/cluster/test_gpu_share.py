"""How many trials share a GPU where the user leaves it open: by the length of a step, memory and CPU cores."""

import io

import pytest
from rich.console import Console

from tests.builders import tiny_sweep
from vgsearch.runtime.cluster.cluster import Node, Resources
from vgsearch.runtime.cluster.gpu_share import n_sharing, with_usual_share

NODE = Node(n_cpus=16, n_gpus=2)
LARGE = 80e9


@pytest.mark.parametrize(
    ("seconds", "share_of_memory", "most", "n"),
    [
        (0.001, 0.01, 16, 4),
        (0.015, 0.01, 16, 2),  # two steps of 15 ms fill the time in which the CPU queues one
        (0.5, 0.01, 16, 1),
        (0.001, 0.4, 16, 2),
        (0.001, 1.5, 16, 1),
        (0.001, 0.01, 3, 3),
        (0.001, 0.01, 0.5, 1),
    ],
)
def test_a_gpu_is_shared_as_far_as_time_memory_and_cores_allow(
    seconds: float, share_of_memory: float, most: float, n: int
):
    assert n_sharing(seconds, share_of_memory, most) == n


def test_trials_of_a_small_network_share_gpus_and_that_is_told():
    console = Console(file=io.StringIO(), width=200)
    sweep = with_usual_share(tiny_sweep(), Resources((NODE,)), LARGE, console)
    assert sweep.gpus_per_worker < 1
    n = round(1 / sweep.gpus_per_worker)
    assert console.file.getvalue().startswith(f"{n} trials share a GPU: ")
    assert Resources((NODE,)).max_concurrent(1, sweep.gpus_per_worker) == 2 * n


@pytest.mark.parametrize(
    ("sweep", "node", "share"),
    [
        ({"n_workers": 2}, NODE, 1),
        ({"space": "moving_blobs"}, NODE, 1),
        ({}, Node(n_cpus=16), 0),
        ({"n_trials": 2}, NODE, 1),
    ],
    ids=["several workers", "a program", "no GPU", "a trial for each GPU"],
)
def test_workers_of_one_trial_programs_and_few_trials_get_whole_gpus(sweep: dict, node: Node, share: float):
    console = Console(file=io.StringIO())
    assert with_usual_share(tiny_sweep(**sweep), Resources((node,)), LARGE, console).gpus_per_worker == share
    assert not console.file.getvalue()

"""What is said of GPUs that PyTorch can't use: whether build or driver is the cause, and the remedy."""

import io
import os
import re
import socket
from collections.abc import Iterator

import pytest
import ray
import torch
from ray.cluster_utils import Cluster
from rich.console import Console

from vgsearch.runtime import HIDDEN_GPUS
from vgsearch.runtime.cluster.gpus import GpuReport, UsableGpu, gpu_report
from vgsearch.runtime.cluster.node_gpus import least_gpu_memory, smallest
from vgsearch.runtime.cluster.start import start_ray
from videogan.config import ConfigurationError

CUDA = {"torch": "2.13.0+cu128", "platform": "CUDA 12.8", "architectures": ("sm_75", "sm_80", "sm_90a", "compute_120")}
DRIVER = {"driver": "470.82.01", "installed": ("NVIDIA A100-SXM4-80GB (81920 MiB)",)}


def with_gpu(name: str, *capability: int) -> GpuReport:
    return GpuReport(**CUDA, usable=(UsableGpu(name, 85_000_000_000, capability),), driver="580.1")


@pytest.mark.parametrize(
    ("report", "problem"),
    [
        (GpuReport("2.13.0+cpu", "", (), error="x", **DRIVER), r"2.13.0\+cpu is built for CPUs only; install its CUDA"),
        (GpuReport(**CUDA, error="Found no NVIDIA driver"), r"finds no driver \(Found no .*start the container with"),
        (
            GpuReport(**CUDA, error="too old", **DRIVER),
            r"can't use driver 470.82.01 \(too old\); update the driver, or",
        ),
        (with_gpu("P40", 6, 1), r"no code for P40 \(compute capability 6.1; it has sm_75, sm_80, sm_90a"),
        (with_gpu("A100", 8, 0), "$"),
        (with_gpu("A10G", 8, 6), "$"),  # code of 8.0 runs there
        (with_gpu("H200", 9, 0), "$"),
        (with_gpu("a later one", 13, 0), "$"),  # from the intermediate code
    ],
)
def test_gpus_that_pytorch_cannot_use_are_told_with_build_driver_and_remedy(report: GpuReport, problem: str):
    assert re.match(r"(torch .*)?" + problem, report.problem)


def test_a_gpu_is_shown_by_name_memory_and_driver():
    assert str(with_gpu("NVIDIA H200", 9, 0)) == "NVIDIA H200 (85.0 GB), driver 580.1"
    assert str(GpuReport("2.13.0+cpu", "", (), **DRIVER)) == "NVIDIA A100-SXM4-80GB (81920 MiB), driver 470.82.01"


def test_the_report_of_this_machine_agrees_with_pytorch():
    report = gpu_report()
    assert report.torch == torch.__version__
    assert bool(report.usable) is torch.cuda.is_available()
    assert bool(report.error) is not torch.cuda.is_available()


def test_of_several_types_the_smallest_gpu_decides_and_that_is_told():
    output = io.StringIO()
    a100, l4 = UsableGpu("A100", 85_000_000_000, (8, 0)), UsableGpu("L4", 24_000_000_000, (8, 9))
    assert smallest([a100, a100], Console(file=output)) == 85e9
    assert output.getvalue() == ""
    assert smallest([a100, l4, a100], Console(file=output)) == 24e9
    assert (
        output.getvalue() == "GPUs of several types: A100 (85.0 GB), L4 (24.0 GB); every trial must fit the smallest\n"
    )


@pytest.fixture(scope="module")
def cluster_with_a_gpu() -> Iterator[None]:
    """A running cluster with a pretended GPU, whose node was started without the variables of this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(HIDDEN_GPUS)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        head = {"num_cpus": 1, "num_gpus": 1, "dashboard_port": port}
        cluster = Cluster(initialize_head=True, head_node_args=head)
    start_ray(cluster.address)
    yield
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("cluster_with_a_gpu")
def test_a_task_without_a_gpu_sees_none_on_a_cluster_that_others_started():
    def seen() -> str | None:
        return os.environ.get("CUDA_VISIBLE_DEVICES")

    assert ray.get(ray.remote(num_cpus=1)(seen).remote()) == ""
    assert ray.get(ray.remote(num_cpus=1, num_gpus=1)(seen).remote()) == "0"


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the GPU")
@pytest.mark.usefixtures("cluster_with_a_gpu")
def test_a_node_whose_gpus_pytorch_cannot_use_is_refused_before_a_trial_starts():
    assert least_gpu_memory(0, Console(quiet=True)) == float("inf")
    with pytest.raises(
        ConfigurationError, match=r"node [\d.]+ has 1 GPU for Ray, but torch .*\.\nOr train on CPUs: --"
    ):
        least_gpu_memory(1, Console(quiet=True))
    assert ray.available_resources()["GPU"] == 1, "asking takes no GPU"

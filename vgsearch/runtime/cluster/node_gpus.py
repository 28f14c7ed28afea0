"""Whether every node that has GPUs can compute on them, asked before a sweep starts."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from rich.console import Console

from vgsearch.runtime.cluster.gpus import GpuReport, UsableGpu, gpu_report
from vgsearch.runtime.cluster.nodes import SECONDS_OF_AN_ANSWER
from vgsearch.runtime.waits.waiting import waiting
from videogan.config import ConfigurationError

VISIBLE = "CUDA_VISIBLE_DEVICES"


def least_gpu_memory(gpus_per_worker: float, console: Console) -> float:
    """The bytes of the smallest GPU of all present nodes, which every trial must fit; infinite if workers use none.

    Raises ConfigurationError with the remedy, a line for each node on which
    PyTorch can't use the GPUs that Ray counts.
    """
    if not gpus_per_worker:
        return math.inf
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU")]
    reports = _asked([node["NodeID"] for node in nodes])
    told = [
        _problem(node["NodeManagerAddress"], node["Resources"]["GPU"], report)
        for node, report in zip(nodes, reports, strict=True)
    ]
    if problems := [problem for problem in told if problem]:
        raise ConfigurationError("\n".join([*problems, "Or train on CPUs: --gpus-per-worker 0."]))
    return smallest([gpu for report in reports if isinstance(report, GpuReport) for gpu in report.usable], console)


def smallest(gpus: Sequence[UsableGpu], console: Console) -> float:
    """The bytes of the smallest GPU, infinite without one; prints a note if there are several types."""
    if len({gpu.name for gpu in gpus}) > 1:
        types = ", ".join(dict.fromkeys(map(str, gpus)))
        console.print(f"GPUs of several types: {types}; every trial must fit the smallest", soft_wrap=True)
    return min((gpu.memory_bytes for gpu in gpus), default=math.inf)


def _asked(nodes: list[str]) -> list[GpuReport | str]:
    """Each node's report, or why there is none."""
    # A process of its own, which ends after it: it sees GPUs that it has not requested, as Ray must not know.
    ask = ray.remote(num_cpus=0, max_retries=0, max_calls=1)(_report_of_node)
    answers = [
        ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote() for node in nodes
    ]
    with waiting("what each node says of its GPUs", f"it ends after {SECONDS_OF_AN_ANSWER} s; Ctrl-C stops"):
        ray.wait(answers, num_returns=len(answers), timeout=SECONDS_OF_AN_ANSWER)
    return [_answered(answer) for answer in answers]


def _report_of_node() -> GpuReport:
    """On a node: the report of the GPUs that its Ray was started with, whichever are free."""
    environment = os.fsdecode(Path("/proc/self/environ").read_bytes())
    started_with = dict(entry.partition("=")[::2] for entry in environment.split("\0"))
    os.environ.pop(VISIBLE, None)  # Ray hid all GPUs from this task
    if VISIBLE in started_with:
        os.environ[VISIBLE] = started_with[VISIBLE]
    return gpu_report()


def _answered(answer: "ray.ObjectRef") -> GpuReport | str:
    """A node's report, or why there is none."""
    try:
        report: GpuReport = ray.get(answer, timeout=0)
    except ray.exceptions.GetTimeoutError:
        return f"gives no answer within {SECONDS_OF_AN_ANSWER} s"
    except ray.exceptions.RayError as error:
        return f"can't say whether PyTorch can use them ({str(error).strip().splitlines()[-1]})"
    return report


def _problem(address: str, n_gpus: float, report: GpuReport | str) -> str:
    what = f"node {address} has {n_gpus:g} GPU{'s' if n_gpus > 1 else ''} for Ray, but"
    if isinstance(report, str):
        return f"{what} {report}."
    if report.problem:
        return f"{what} {report.problem}."
    if len(report.usable) < n_gpus:
        return f"{what} PyTorch sees {len(report.usable)}: start its Ray with --num-gpus {len(report.usable)}."
    return ""

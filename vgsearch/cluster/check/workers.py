"""Workers run the trials, not the head; they exist, have the GPUs that the search needs, and are added on demand."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vgsearch.cluster.check.finding import Finding
from vgsearch.cluster.check.plan import ClusterPlan
from videogan.amounts import n_of
from videogan.training.gpus import GPU, GPUS


def head_runs_no_trials(plan: ClusterPlan) -> Iterator[Finding]:
    """head-work: trials on the head would compete with the driver, dashboard and autoscaler, and may crash them."""
    head = plan.head
    for what, n in (("GPU", head.n_gpus), ("CPU", head.n_cpus)):
        if n:
            came = f"all {what}s of its machine" if n == math.inf else f"{n:g}"
            yield Finding("head-work", head.line, f"the head must offer no {what} to trials", came, plan.remedies.head)
            return


def head_is_not_spot(plan: ClusterPlan) -> Iterator[Finding]:
    """spot-head: the head runs the driver and holds Ray's state, so it must not be a spot node."""
    if plan.head.is_spot:
        yield Finding(
            "spot-head",
            plan.head.line,
            "the head must run as long as the sweep",
            "a spot node, which may be reclaimed with the driver on it",
            "Make the head an on-demand node; it is the cheap one.",
        )


def there_are_workers(plan: ClusterPlan) -> Iterator[Finding]:
    """no-workers: at least one group may have nodes."""
    if not any(group.most is None or group.most > 0 for group in plan.workers):
        yield Finding(
            "no-workers",
            plan.workers[0].line if plan.workers else plan.head.line,
            "at least one worker group must allow a node",
            f"a maximum of 0 in each of {n_of(len(plan.workers), 'group')}",
            "Raise the maximum of one of them.",
        )


def autoscaler_runs(plan: ClusterPlan) -> Iterator[Finding]:
    """autoscaler-off: groups that start without nodes need the autoscaler."""
    if plan.autoscales:
        return
    line = plan.lines.get("autoscaler", plan.head.line)
    yield Finding("autoscaler-off", line, "the autoscaler must run to add workers", "none", plan.remedies.autoscaler)


@dataclass(frozen=True)
class GpuNeed:
    """What a search needs of a GPU: its name, e.g. 'mvt_tsa at --budget paper', and the bytes of a trial's worker.

    options: those with which a worker fits into a GPU, for a finding's remedy; "" if there are none.
    """

    search: str
    n_bytes: float
    options: Callable[[GPU], str]


def gpus_hold_a_trial(need: GpuNeed) -> Callable[[ClusterPlan], Iterator[Finding]]:
    """gpu-memory: the GPUs of a group hold a worker of the paper's point, by the forecast of a dry run."""

    def rule(plan: ClusterPlan) -> Iterator[Finding]:
        for group in plan.workers:
            if group.gpu is None or group.gpu.memory_bytes >= need.n_bytes:
                continue
            options = need.options(group.gpu)
            larger = [gpu.name for gpu in GPUS.values() if gpu.memory_bytes >= need.n_bytes]
            yield Finding(
                "gpu-memory",
                group.line,
                f"a GPU of {group.kind} must hold the {need.n_bytes / 1e9:.1f} GB of {need.search}",
                f"{group.gpu.name} with {group.gpu.memory_bytes / 1e9:.1f} GB",
                (f"Run it with {options}, or choose" if options else "Choose") + f" {_either(larger)}.",
            )

    return rule


def _either(names: list[str]) -> str:
    return ", ".join(names[:-1]) + (" or " if len(names) > 1 else "") + names[-1] if names else "a larger GPU"


def workers_have_gpus(search: str) -> Callable[[ClusterPlan], Iterator[Finding]]:
    """accelerator: some worker group has GPUs; `search` names what needs them, e.g. 'mvt_tsa at --budget paper'."""

    def rule(plan: ClusterPlan) -> Iterator[Finding]:
        if plan.workers and all(group.n_gpus == 0 for group in plan.workers):
            yield Finding(
                "accelerator",
                plan.workers[0].line,
                f"{search} needs GPUs, so some worker must have one",
                f"none in {', '.join(group.kind for group in plan.workers)}",
                f"{plan.remedies.gpu} For CPUs only, check with --budget laptop.",
            )

    return rule


def idle_workers_are_removed(plan: ClusterPlan) -> Iterator[Finding]:
    """kept-nodes (note): workers that are always kept cost money while nothing runs."""
    for group in plan.workers:
        if group.least > 0:
            yield Finding(
                "kept-nodes",
                group.line,
                f"{group.kind} costs nothing while idle only if it may shrink to 0 nodes",
                f"a minimum of {group.least:g}",
                "Set its minimum to 0, unless you own the machines.",
                is_note=True,
            )

"""Workers do the work: the head does none, there are some, they have what the search needs, they come when asked for."""

import math
from collections.abc import Callable, Iterator

from vgsearch.cluster.check.finding import Finding
from vgsearch.cluster.check.plan import ClusterPlan


def head_takes_no_trials(plan: ClusterPlan) -> Iterator[Finding]:
    """head-work: a trial on the head would compete with the driver, the dashboard and the autoscaler, and may end them."""
    head = plan.head
    for what, n in (("GPU", head.n_gpus), ("CPU", head.n_cpus)):
        if n:
            came = f"all {what}s of its machine" if n == math.inf else f"{n:g}"
            yield Finding("head-work", head.line, f"the head must offer no {what} to trials", came, plan.remedies.head)
            return


def head_stays(plan: ClusterPlan) -> Iterator[Finding]:
    """spot-head: the head holds the driver and Ray's own state, and ends with its node."""
    if plan.head.is_spot:
        yield Finding(
            "spot-head",
            plan.head.line,
            "the head must stay as long as the sweep does",
            "a spot node, which may be taken away with the driver on it",
            "Make the head an on-demand node; it is the small one.",
        )


def there_are_workers(plan: ClusterPlan) -> Iterator[Finding]:
    """no-workers: some group may have a node."""
    if not any(group.most is None or group.most > 0 for group in plan.workers):
        yield Finding(
            "no-workers",
            plan.workers[0].line if plan.workers else plan.head.line,
            "at least one group of workers must be allowed a node",
            f"at most 0 of each of {len(plan.workers)} group(s)",
            "Raise the most workers of one of them.",
        )


def workers_come(plan: ClusterPlan) -> Iterator[Finding]:
    """autoscaler-off: groups that begin with no node grow only where the autoscaler runs."""
    if plan.autoscales:
        return
    line = plan.lines.get("autoscaler", plan.head.line)
    yield Finding("autoscaler-off", line, "the autoscaler must run to add workers", "none", plan.remedies.autoscaler)


def workers_have_gpus(search: str) -> Callable[[ClusterPlan], Iterator[Finding]]:
    """accelerator: some group of workers has GPUs; `search` names what needs them, e.g. 'mvt_tsa at --budget paper'."""

    def rule(plan: ClusterPlan) -> Iterator[Finding]:
        if plan.workers and all(group.n_gpus == 0 for group in plan.workers):
            yield Finding(
                "accelerator",
                plan.workers[0].line,
                f"{search} needs GPUs, so some worker must have one",
                f"none in {', '.join(group.kind for group in plan.workers)}",
                f"{plan.remedies.gpu} For CPUs alone check with --budget laptop.",
            )

    return rule


def idle_workers_go(plan: ClusterPlan) -> Iterator[Finding]:
    """kept-nodes, a note: workers that are kept cost while nothing runs."""
    for group in plan.workers:
        if group.least > 0:
            yield Finding(
                "kept-nodes",
                group.line,
                f"{group.kind} costs nothing while no trial waits if it may shrink to no node",
                f"at least {group.least:g}",
                "Set its least to 0 unless they are yours anyway.",
                is_note=True,
            )

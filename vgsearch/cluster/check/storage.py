"""Runs and caches lie where every node sees them and where they outlive any node."""

from collections.abc import Iterator

from vgsearch.cluster.check.finding import Finding
from vgsearch.cluster.check.plan import REMOTE, ClusterPlan, NodeGroup, is_shared

CACHE = "VGSEARCH_CACHE"
_REMEDY = (
    f"Set {CACHE} to the same place on every node: s3://..., gs://..., or a folder that the file mounts on all of them"
)


def storage_is_shared(plan: ClusterPlan) -> Iterator[Finding]:
    """shared-storage: VGSEARCH_CACHE is one place on shared storage on every node."""
    if any(group.is_spot for group in plan.workers):
        return  # the same, and worse: spot_nodes_leave_their_work_behind
    yield from _unshared(plan, plan.groups, "shared-storage", "")


def spot_nodes_leave_their_work_behind(plan: ClusterPlan) -> Iterator[Finding]:
    """spot-checkpoints: what nodes that may be taken away have trained lies elsewhere."""
    spot = [group for group in plan.workers if group.is_spot]
    if spot:
        why = f", for {spot[0].kind} is spot and its checkpoints must outlive it"
        yield from _unshared(plan, plan.groups, "spot-checkpoints", why)


def storage_lets_nodes_in(plan: ClusterPlan) -> Iterator[Finding]:
    """storage-access: nodes that read and write a bucket have an identity that the bucket knows."""
    for group in plan.groups:
        told = group.environment.get(CACHE)
        keys = {"AWS_ACCESS_KEY_ID", "GOOGLE_APPLICATION_CREDENTIALS", "AWS_ROLE_ARN"} & set(group.environment)
        if told and REMOTE.match(told.text) and group.reaches_storage is False and not keys:
            yield Finding(
                "storage-access",
                group.line,
                f"{group.kind} must be let into {told.text}",
                "nodes without an identity; the launcher gives one to the head only",
                plan.remedies.access,
            )


def _unshared(plan: ClusterPlan, groups: list[NodeGroup], rule: str, why: str) -> Iterator[Finding]:
    missing = [group for group in groups if CACHE not in group.environment]
    if missing:
        line = plan.lines.get("environment", missing[0].line)
        kinds = ", ".join(group.kind for group in missing)
        yield Finding(rule, line, f"{CACHE} must be set on {kinds}{why}", "nothing", f"{_REMEDY}, and --out likewise.")
        return
    for group in groups:
        told = group.environment[CACHE]
        if not is_shared(told, group):
            yield Finding(
                rule,
                told.line,
                f"{CACHE} must lie on storage that all nodes share{why}",
                f"{told.text} on {group.kind}, which nothing in the file mounts",
                f"{_REMEDY}; `mountpoint FOLDER` among the commands shows that it is mounted.",
            )
            return
    places = {group.environment[CACHE].text for group in groups}
    if len(places) > 1:
        told = groups[-1].environment[CACHE]
        yield Finding(
            rule, told.line, f"{CACHE} must be one place on all nodes", " and ".join(sorted(places)), f"{_REMEDY}."
        )

"""Runs and caches are on storage that all nodes share and that outlives them."""

from collections.abc import Iterator

from vgsearch.cluster.check.finding import Finding
from vgsearch.cluster.check.plan import REMOTE, ClusterPlan, NodeGroup, is_shared

CACHE = "VGSEARCH_CACHE"
_REMEDY = (
    f"Set {CACHE} to the same place on every node: s3://..., gs://..., or a folder that the file mounts on all of them"
)


def storage_is_shared(plan: ClusterPlan) -> Iterator[Finding]:
    """shared-storage: VGSEARCH_CACHE is the same place on shared storage on every node."""
    if any(group.is_spot for group in plan.workers):
        return  # spot_nodes_use_shared_storage reports it
    yield from _unshared(plan, plan.groups, "shared-storage", "")


def spot_nodes_use_shared_storage(plan: ClusterPlan) -> Iterator[Finding]:
    """spot-checkpoints: checkpoints of spot nodes are on shared storage."""
    spot = [group for group in plan.workers if group.is_spot]
    if spot:
        why = f", because {spot[0].kind} is spot and its checkpoints must outlive it"
        yield from _unshared(plan, plan.groups, "spot-checkpoints", why)


def nodes_may_access_storage(plan: ClusterPlan) -> Iterator[Finding]:
    """storage-access: nodes that use a bucket have credentials for it."""
    for group in plan.groups:
        variable = group.environment.get(CACHE)
        keys = {"AWS_ACCESS_KEY_ID", "GOOGLE_APPLICATION_CREDENTIALS", "AWS_ROLE_ARN"} & set(group.environment)
        if variable and REMOTE.match(variable.text) and group.reaches_storage is False and not keys:
            yield Finding(
                "storage-access",
                group.line,
                f"{group.kind} must have access to {variable.text}",
                "nodes without credentials; the launcher gives them to the head only",
                plan.remedies.access,
            )


def _unshared(plan: ClusterPlan, groups: list[NodeGroup], rule: str, why: str) -> Iterator[Finding]:
    missing = [group for group in groups if CACHE not in group.environment]
    if missing:
        line = plan.lines.get("environment", missing[0].line)
        kinds = ", ".join(group.kind for group in missing)
        yield Finding(
            rule, line, f"{CACHE} must be set on {kinds}{why}", "nothing", f"{_REMEDY}, and do the same for --out."
        )
        return
    for group in groups:
        variable = group.environment[CACHE]
        if not is_shared(variable, group):
            yield Finding(
                rule,
                variable.line,
                f"{CACHE} must be on storage that all nodes share{why}",
                f"{variable.text} on {group.kind}, which the file does not mount",
                f"{_REMEDY}. A `mountpoint FOLDER` command in the file shows that it is mounted.",
            )
            return
    places = {group.environment[CACHE].text for group in groups}
    if len(places) > 1:
        variable = groups[-1].environment[CACHE]
        yield Finding(
            rule,
            variable.line,
            f"{CACHE} must be the same place on all nodes",
            " and ".join(sorted(places)),
            f"{_REMEDY}.",
        )

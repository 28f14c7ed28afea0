"""Without a token, anyone who reaches Ray's ports can run code as its user (CVE-2023-48022)."""

from collections.abc import Iterator

from vgsearch.cluster.check.finding import Finding
from vgsearch.cluster.check.plan import ClusterPlan, NodeGroup


def ray_requires_the_token(plan: ClusterPlan) -> Iterator[Finding]:
    """no-token: Ray runs under RAY_AUTH_MODE=token on every node."""
    if plan.distributes_token:
        return
    open_groups = [group for group in plan.groups if _mode(group).lower() != "token"]
    for group in open_groups[:1]:
        variable = group.environment.get("RAY_AUTH_MODE")
        yield Finding(
            "no-token",
            variable.line if variable else group.line,
            f"Ray must run under RAY_AUTH_MODE=token on {', '.join(group.kind for group in open_groups)}",
            f"RAY_AUTH_MODE={variable.text}" if variable else "no RAY_AUTH_MODE in Ray's environment",
            plan.remedies.token,
        )


def token_reaches_the_nodes(plan: ClusterPlan) -> Iterator[Finding]:
    """token-file: every node has the same token; Ray does not start without it."""
    mounted = [there for there in plan.mounted if there.rstrip("/").endswith((".ray/auth_token", ".ray"))]
    if plan.distributes_token or mounted:
        return
    without = [
        group
        for group in plan.groups
        if _mode(group).lower() == "token" and not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(group.environment)
    ]
    for group in without[:1]:
        yield Finding(
            "token-file",
            plan.lines.get("mounts", group.line),
            f"the token must be on {', '.join(group.kind for group in without)}",
            "no ~/.ray/auth_token among the copied files",
            plan.remedies.token_file,
        )


def token_is_not_in_the_file(plan: ClusterPlan) -> Iterator[Finding]:
    """token-in-file: cluster files are shared and committed, so they must not contain the token."""
    written = {
        variable.line
        for group in plan.groups
        if (variable := group.environment.get("RAY_AUTH_TOKEN")) and variable.text and not variable.text.startswith("$")
    }
    for line in sorted(written):
        yield Finding(
            "token-in-file",
            line,
            "the token must not be in the file",
            "RAY_AUTH_TOKEN with its value",
            f"Generate a new token, because this one is exposed. {plan.remedies.token_file}",
        )


def _mode(group: NodeGroup) -> str:
    variable = group.environment.get("RAY_AUTH_MODE")
    return variable.text if variable else ""

"""Who reaches Ray's ports runs code as its user, unless a token is asked for (CVE-2023-48022)."""

from collections.abc import Iterator

from vgsearch.cluster.check.finding import Finding
from vgsearch.cluster.check.plan import ClusterPlan, NodeGroup


def token_is_asked_for(plan: ClusterPlan) -> Iterator[Finding]:
    """no-token: Ray runs under RAY_AUTH_MODE=token on every node."""
    if plan.hands_token_out:
        return
    open_groups = [group for group in plan.groups if _mode(group).lower() != "token"]
    for group in open_groups[:1]:
        told = group.environment.get("RAY_AUTH_MODE")
        yield Finding(
            "no-token",
            told.line if told else group.line,
            f"Ray must run under RAY_AUTH_MODE=token on {', '.join(group.kind for group in open_groups)}",
            f"RAY_AUTH_MODE={told.text}" if told else "no RAY_AUTH_MODE where Ray runs",
            plan.remedies.token,
        )


def token_reaches_the_nodes(plan: ClusterPlan) -> Iterator[Finding]:
    """token-file: the same token lies on every node, or Ray refuses to start there."""
    mounted = [there for there in plan.mounted if there.rstrip("/").endswith((".ray/auth_token", ".ray"))]
    if plan.hands_token_out or mounted:
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
            f"the token must reach {', '.join(group.kind for group in without)}",
            "no ~/.ray/auth_token among what is copied there",
            plan.remedies.token_file,
        )


def token_is_no_text_of_the_file(plan: ClusterPlan) -> Iterator[Finding]:
    """token-in-file: files of clusters are shared and committed, tokens are not."""
    written = {
        told.line
        for group in plan.groups
        if (told := group.environment.get("RAY_AUTH_TOKEN")) and told.text and not told.text.startswith("$")
    }
    for line in sorted(written):
        yield Finding(
            "token-in-file",
            line,
            "the token must not stand in the file",
            "RAY_AUTH_TOKEN with its value",
            f"Make another token, for this one is known. {plan.remedies.token_file}",
        )


def _mode(group: NodeGroup) -> str:
    told = group.environment.get("RAY_AUTH_MODE")
    return told.text if told else ""

"""vgsearch is on every node, at the versions that were tested together."""

import re
from collections.abc import Iterator

from vgsearch.cluster.check.finding import Finding
from vgsearch.cluster.check.plan import ClusterPlan, NodeGroup, Told
from vgsearch.cluster.check.versions import ray_image

_INSTALLS = re.compile(r"\b(pip3?|uv pip|conda|mamba|poetry) (install|sync)\b|-m pip install\b")
_CONSTRAINED = re.compile(r"(\s-c[\s=]|--constraints?[\s=]|PIP_CONSTRAINT=)\s*(\S+)")
_WHEEL = re.compile(r"\S*vgsearch\S*")


def vgsearch_is_installed(plan: ClusterPlan) -> Iterator[Finding]:
    """missing-setup: Ray's own images do not hold vgsearch; a command installs it on the head and on workers."""
    without = [group for group in plan.groups if not _installs(group) and _needs_setup(group)]
    for group in without[:1]:
        yield Finding(
            "missing-setup",
            plan.lines.get("setup", group.line),
            f"vgsearch must be installed on {', '.join(group.kind for group in without)}",
            f"{group.image.text if group.image else 'no image'} and no command that installs it",
            plan.remedies.setup,
        )


def versions_are_held(plan: ClusterPlan) -> Iterator[Finding]:
    """unpinned-setup: nodes that start on different days still install the same versions."""
    lines = {told.line: told for group in plan.groups if (told := _installs(group))}
    for line, told in sorted(lines.items()):
        if not _CONSTRAINED.search(told.text):
            yield Finding(
                "unpinned-setup",
                line,
                "what installs vgsearch must hold the versions that were tested together",
                "an install without constraints: a node that starts tomorrow may get another torch",
                "Add -c .../constraints.txt, the file beside pyproject.toml.",
            )


def what_is_installed_is_there(plan: ClusterPlan) -> Iterator[Finding]:
    """missing-mount: a wheel or a file of constraints that a command names is copied to the nodes."""
    lines = {told.line: told for group in plan.groups if (told := _installs(group))}
    for line, told in sorted(lines.items()):
        named = [word for word in _WHEEL.findall(told.text) if word.endswith((".whl", ".tar.gz"))]
        named += [match[1] for match in _CONSTRAINED.findall(told.text)]
        for path in named:
            if path.startswith(("/", "~")) and not _is_mounted(path, plan):
                yield Finding(
                    "missing-mount",
                    line,
                    f"{path} must be on the nodes before it is installed",
                    f"file_mounts of {', '.join(plan.mounted) or 'nothing'}",
                    "Add its folder to file_mounts, e.g. /home/ray/wheel: wheel.",
                )
                return


def _installs(group: NodeGroup) -> Told | None:
    return next((told for told in group.setup if _INSTALLS.search(told.text) and "vgsearch" in told.text), None)


def _needs_setup(group: NodeGroup) -> bool:
    """Whether nothing but a command could bring vgsearch: an image that is not Ray's is made to hold it."""
    return group.image is None or ray_image(group) is not None


def _is_mounted(path: str, plan: ClusterPlan) -> bool:
    """Whether file_mounts brings the path, or a command of the user's own may (a shared folder)."""
    full = _expanded(path)
    folders = [_expanded(there).rstrip("/") for there in plan.mounted]
    folders += [folder for group in plan.groups for folder in group.shared_folders]
    return any(full == folder or full.startswith(f"{folder}/") for folder in folders)


def _expanded(path: str) -> str:
    return f"/home/ray{path[1:]}" if path.startswith("~/") else path

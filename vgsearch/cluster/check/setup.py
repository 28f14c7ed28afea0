"""vgsearch is installed on every node, with the versions that were tested together."""

import re
from collections.abc import Iterator

from vgsearch.cluster.check.finding import Finding
from vgsearch.cluster.check.plan import ClusterPlan, FileText, NodeGroup
from vgsearch.cluster.check.versions import ray_image

_INSTALLS = re.compile(r"\b(pip3?|uv pip|conda|mamba|poetry) (install|sync)\b|-m pip install\b")
_CONSTRAINED = re.compile(r"(\s-c[\s=]|--constraints?[\s=]|PIP_CONSTRAINT=)\s*(\S+)")
_WHEEL = re.compile(r"\S*vgsearch\S*")


def vgsearch_is_installed(plan: ClusterPlan) -> Iterator[Finding]:
    """missing-setup: Ray's images do not contain vgsearch, so a command installs it on all nodes."""
    without = [group for group in plan.groups if not _installs(group) and _needs_setup(group)]
    for group in without[:1]:
        yield Finding(
            "missing-setup",
            plan.lines.get("setup", group.line),
            f"vgsearch must be installed on {', '.join(group.kind for group in without)}",
            f"{group.image.text if group.image else 'no image'} and no command that installs it",
            plan.remedies.setup,
        )


def versions_are_pinned(plan: ClusterPlan) -> Iterator[Finding]:
    """unpinned-setup: nodes install the same versions whenever they start."""
    lines = {command.line: command for group in plan.groups if (command := _installs(group))}
    for line, command in sorted(lines.items()):
        if not _CONSTRAINED.search(command.text):
            yield Finding(
                "unpinned-setup",
                line,
                "the command that installs vgsearch must pin the tested versions",
                "no constraints: a node that starts tomorrow may get another torch",
                "Add -c .../constraints.txt, the file beside pyproject.toml.",
            )


def installed_files_are_copied(plan: ClusterPlan) -> Iterator[Finding]:
    """missing-mount: the wheel and the constraints file in a command are copied to the nodes."""
    lines = {command.line: command for group in plan.groups if (command := _installs(group))}
    for line, command in sorted(lines.items()):
        named = [word for word in _WHEEL.findall(command.text) if word.endswith((".whl", ".tar.gz"))]
        named += [match[1] for match in _CONSTRAINED.findall(command.text)]
        for path in named:
            if path.startswith(("/", "~")) and not _is_mounted(path, plan):
                yield Finding(
                    "missing-mount",
                    line,
                    f"{path} must be copied to the nodes",
                    f"file_mounts of {', '.join(plan.mounted) or 'nothing'}",
                    "Add its folder to file_mounts, e.g. /home/ray/wheel: wheel.",
                )
                return


def _installs(group: NodeGroup) -> FileText | None:
    return next(
        (command for command in group.setup if _INSTALLS.search(command.text) and "vgsearch" in command.text), None
    )


def _needs_setup(group: NodeGroup) -> bool:
    """Whether the image lacks vgsearch: any image that is not Ray's own is assumed to contain it."""
    return group.image is None or ray_image(group) is not None


def _is_mounted(path: str, plan: ClusterPlan) -> bool:
    """Whether the path is below file_mounts or a shared folder."""
    full = _expanded(path)
    folders = [_expanded(there).rstrip("/") for there in plan.mounted]
    folders += [folder for group in plan.groups for folder in group.shared_folders]
    return any(full == folder or full.startswith(f"{folder}/") for folder in folders)


def _expanded(path: str) -> str:
    return f"/home/ray{path[1:]}" if path.startswith("~/") else path

"""Nodes that a cluster's autoscaler could still add; Ray 2.60 has no API for them."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from videogan.config import ConfigurationError

LAUNCHER_FILE = Path("~/ray_bootstrap_config.yaml")
"""Written by `ray up` on the head for its autoscaler: the cluster file with each machine's resources filled in."""
VARIABLE = "VGSEARCH_MOST_NODES"
"""The same for other autoscalers, such as KubeRay's: [{"count": 8, "CPU": 4, "GPU": 1}]."""
Amounts = dict[str, float]


def addable_nodes(present: list[Mapping[str, float]]) -> list[Amounts]:
    """The resources of each node that the autoscaler may still add to the present ones.

    A present node counts as one of the first kind with the same CPUs and GPUs. Raises ConfigurationError if
    VGSEARCH_MOST_NODES is not such a list.
    """
    kinds, most = _of_variable() if os.environ.get(VARIABLE) else _of_launcher(Path(os.path.expanduser(LAUNCHER_FILE)))
    left = [_key(node) for node in present]
    addable = []
    for amounts in kinds:
        if _key(amounts) in left:
            left.remove(_key(amounts))
            most -= 1
        else:
            addable.append(amounts)
    return addable[: max(int(min(most, len(addable))), 0)]


def _key(amounts: Mapping[str, float]) -> tuple[float, float]:
    return amounts.get("CPU", 0.0), amounts.get("GPU", 0.0)


def _of_variable() -> tuple[list[Amounts], float]:
    written = os.environ[VARIABLE]
    try:
        kinds = [dict(kind) for kind in json.loads(written)]
        counts = [kind.pop("count") for kind in kinds]
        nodes = [
            {name: float(n) for name, n in kind.items()}
            for kind, n in zip(kinds, counts, strict=True)
            for _ in range(n)
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(
            f'{VARIABLE} must be a list such as [{{"count": 8, "CPU": 4, "GPU": 1}}], got {written!r} ({error!r}).'
        ) from None
    return nodes, math.inf


def _of_launcher(file: Path) -> tuple[list[Amounts], float]:
    """Each worker that the launcher's file allows, and their maximum number; empty without the file."""
    if not file.is_file():
        return [], 0
    cluster = yaml.safe_load(file.read_text("utf-8"))
    return list(_workers(cluster)), cluster.get("max_workers", math.inf)


def _workers(cluster: Mapping[str, Any]) -> Iterator[Amounts]:
    most = cluster.get("max_workers", 0)
    for name, kind in cluster.get("available_node_types", {}).items():
        if name != cluster.get("head_node_type"):
            amounts = {resource: float(n) for resource, n in kind.get("resources", {}).items()}
            for _ in range(kind.get("max_workers", most)):
                yield amounts

"""Whether the nodes of a cluster can take part: each has this version of the code, and sees the folders that all share."""

import importlib.metadata
import os
import platform
import uuid
from collections.abc import Mapping
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from videogan.config import ConfigurationError
from videogan.storage.places import Place

PACKAGES = ("vgsearch", "torch", "ray")
READ_ONLY = "--data"
"""The option whose folder is looked for as it is; in the others a mark is."""


def refuse_unfit_nodes(folders: Mapping[str, Place]) -> None:
    """Raises ConfigurationError that names each node which lacks the code, has another version, or does not see a folder.

    `folders` by the option that names them; those on an object store are not looked at. A cluster of one node is not asked.
    """
    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    if len(nodes) < 2:
        return
    local = {option: folder for option, folder in folders.items() if isinstance(folder, Path)}
    marks: dict[str, Path] = {}
    ask = ray.remote(num_cpus=0, max_retries=0)(_told)
    try:
        marks |= {option: _marked(folder) for option, folder in local.items() if option != READ_ONLY}
        # Data may lie on a disk that nobody may write.
        seen = {option: str(marks.get(option, folder)) for option, folder in local.items()}
        asked = {
            address: ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(seen)
            for node, address in nodes.items()
        }
        problems = [problem for address, answer in asked.items() for problem in _problems(address, answer, local)]
    finally:
        for mark in marks.values():
            mark.unlink(missing_ok=True)
    if problems:
        raise ConfigurationError("\n".join(problems))


def _marked(folder: Path) -> Path:
    mark = folder / f".seen-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()
    return mark


def _told(marks: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """On a node: its versions, and the options whose folders it does not see."""
    return versions(), [option for option, mark in marks.items() if not os.path.exists(mark)]


def versions() -> dict[str, str]:
    """Of what must be the same on all nodes, without what says for which processor a package was built."""
    told = {name: importlib.metadata.version(name).partition("+")[0] for name in PACKAGES}
    return {"python": ".".join(platform.python_version_tuple()[:2]), **told}


def _problems(address: str, answer: "ray.ObjectRef", folders: Mapping[str, Path]) -> list[str]:
    try:
        theirs, unseen = ray.get(answer)
    except ray.exceptions.RayError as error:
        last = str(error).strip().splitlines()[-1]
        return [f"node {address} does not run vgsearch ({last}); install the same wheel there as here."]
    ours = versions()
    differing = [f"{name} {theirs[name]}, here {ours[name]}" for name in ours if theirs[name] != ours[name]]
    problems = (
        [f"node {address} has {', '.join(differing)}; install the same versions on all nodes."] if differing else []
    )
    for option in unseen:
        problems.append(
            f"node {address} does not see {folders[option]} ({option}), which all nodes must share: use a folder on shared "
            "storage, or an address such as s3://bucket/runs."
        )
    return problems

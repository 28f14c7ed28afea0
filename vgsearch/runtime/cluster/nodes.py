"""Whether the nodes of a cluster can run trials: each has the same versions and sees the shared folders."""

import importlib.metadata
import os
import platform
import uuid
from collections.abc import Mapping
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vgsearch.runtime.waits.waiting import waiting
from videogan.config import ConfigurationError
from videogan.plug_ins import installed_packages
from videogan.protocols.classifier import WeightsFile, weights_file
from videogan.storage.places import Place

PACKAGES = ("vgsearch", "torch", "ray")
SECONDS_OF_AN_ANSWER = 120
"""A node may first have to start a process and import torch, on a busy machine."""
READ_ONLY = ("--data", "command.folder")
"""The options whose folders may be read-only; in the other folders a marker file is created and looked for."""


def refuse_unfit_nodes(folders: Mapping[str, Place], weights: WeightsFile | None = None) -> None:
    """Raise ConfigurationError naming each node that lacks the code, a folder or the weights, or has another version.

    `folders` are by option; the file of `weights` must have its sha256 on each node. Addresses on an object store and
    clusters of one node are not checked.
    """
    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    if len(nodes) < 2:
        return
    local = {option: folder for option, folder in folders.items() if isinstance(folder, Path)}
    marks: dict[str, Path] = {}
    ask = ray.remote(num_cpus=0, max_retries=0)(_answer)
    try:
        marks |= {option: _marked(folder) for option, folder in local.items() if option not in READ_ONLY}
        # The data and another program may be on a read-only disk.
        paths = {option: str(marks.get(option, folder)) for option, folder in local.items()}
        answers = {
            address: ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
                paths, weights
            )
            for node, address in nodes.items()
        }
        with waiting("an answer of each node", f"it ends after {SECONDS_OF_AN_ANSWER} s; Ctrl-C stops"):
            ray.wait(list(answers.values()), num_returns=len(answers), timeout=SECONDS_OF_AN_ANSWER)
        problems = [problem for address, answer in answers.items() for problem in _problems(address, answer, local)]
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


def _answer(paths: dict[str, str], weights: WeightsFile | None) -> tuple[dict[str, str], list[str], str]:
    """A node's own answer: its versions, the options whose folders it does not see, the problem with its weights."""
    return versions(), [option for option, path in paths.items() if not os.path.exists(path)], _other_weights(weights)


def _other_weights(weights: WeightsFile | None) -> str:
    if weights is None:
        return ""
    try:
        found = weights_file(Path(weights.path))
    except ConfigurationError as error:
        return str(error)
    if found.sha256 == weights.sha256:
        return ""
    return (
        f"{weights.path}: the classifier weights must have sha256 {weights.sha256[:6]}..., got {found.sha256[:6]}...; "
        "copy the same file to all nodes."
    )


def versions() -> dict[str, str]:
    """Versions that must be equal on all nodes, without the suffix that names a package's build (e.g. +cpu).

    Also of packages that bring families, layouts or metrics.
    """
    names = (*PACKAGES, *installed_packages())
    packages = {name: importlib.metadata.version(name).partition("+")[0] for name in names}
    return {"python": ".".join(platform.python_version_tuple()[:2]), **packages}


def _problems(address: str, answer: "ray.ObjectRef", folders: Mapping[str, Path]) -> list[str]:
    try:
        theirs, unseen, other_weights = ray.get(answer, timeout=0)
    except ray.exceptions.GetTimeoutError:
        return [
            f"node {address} does not answer within {SECONDS_OF_AN_ANSWER} s, or no process can start there; "
            "repair it, or remove it from the cluster."
        ]
    except ray.exceptions.RayError as error:
        last = str(error).strip().splitlines()[-1]
        return [f"node {address} does not run vgsearch ({last}); install the same wheel there."]
    ours = versions()
    differing = [
        f"{name} {theirs.get(name, 'missing')}, here {ours[name]}" for name in ours if theirs.get(name) != ours[name]
    ]
    problems = (
        [f"node {address} has {', '.join(differing)}; install the same versions on all nodes."] if differing else []
    )
    for option in unseen:
        problems.append(
            f"node {address} does not see {folders[option]} ({option}), which all nodes must share: use a folder on "
            "shared storage, or an address such as s3://bucket/runs."
        )
    if other_weights:
        problems.append(f"node {address}: {other_weights}")
    return problems

"""A cluster file, independent of its tool: a head, groups of workers, and the settings of each."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from videogan.training.gpus import GPU

REMOTE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
"""The scheme of an address on an object store."""


@dataclass(frozen=True)
class FileText:
    """A piece of the file's text, and its line."""

    text: str
    line: int


@dataclass(frozen=True)
class NodeGroup:
    """Nodes of one kind. None means that the file leaves a value open; rules then skip it."""

    name: str
    line: int
    is_head: bool = False
    n_cpus: float | None = None  # that Ray may give to trials
    n_gpus: float | None = None
    gpu: GPU | None = None  # the kind that its machines have
    most: float | None = None  # maximum number of nodes
    least: float = 0
    is_spot: bool = False
    image: FileText | None = None
    environment: Mapping[str, FileText] = field(default_factory=dict)
    setup: Sequence[FileText] = ()  # shell commands that prepare a node, in its container if it has one
    shared_folders: Sequence[str] = ()  # folders that the file mounts, or checks to be mounted
    reaches_storage: bool | None = None  # whether the nodes have credentials for object stores

    @property
    def kind(self) -> str:
        return "the head" if self.is_head else f"worker group '{self.name}'"


@dataclass(frozen=True)
class Remedies:
    """What to do about each finding, in terms of the file's tool."""

    token: str
    token_file: str
    access: str
    head: str
    autoscaler: str
    gpu: str
    setup: str


@dataclass(frozen=True)
class ClusterPlan:
    """One cluster. `lines` has the line where a missing setting belongs: environment, mounts, setup, autoscaler."""

    head: NodeGroup
    workers: Sequence[NodeGroup]
    autoscales: bool
    remedies: Remedies
    lines: Mapping[str, int] = field(default_factory=dict)
    ray_version: FileText | None = None  # KubeRay's rayVersion
    mounted: Mapping[str, FileText] = field(default_factory=dict)  # path on the nodes to its source
    distributes_token: bool = False  # KubeRay does, with authOptions
    images_hide_gpus: bool = True

    @property
    def groups(self) -> list[NodeGroup]:
        return [self.head, *self.workers]


def is_shared(place: FileText, group: NodeGroup) -> bool:
    """Whether a path or address is on storage that all nodes share and that outlives them."""
    return bool(REMOTE.match(place.text)) or any(_is_inside(place.text, folder) for folder in group.shared_folders)


def _is_inside(path: str, folder: str) -> bool:
    folder = folder.rstrip("/")
    return path == folder or path.startswith(f"{folder}/")

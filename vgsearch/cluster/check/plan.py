"""What a cluster file says, whichever tool it is written for: a head, groups of workers, and what reaches each of them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

REMOTE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
"""The beginning of an address on an object store."""


@dataclass(frozen=True)
class Told:
    """A text of the file and the line where it stands."""

    text: str
    line: int


@dataclass(frozen=True)
class NodeGroup:
    """Nodes of one kind. None stands for what the file leaves open, which no rule then judges."""

    name: str
    line: int
    is_head: bool = False
    n_cpus: float | None = None  # those that Ray hands out to trials
    n_gpus: float | None = None
    most: float | None = None  # nodes of the group
    least: float = 0
    is_spot: bool = False
    image: Told | None = None
    environment: Mapping[str, Told] = field(default_factory=dict)
    setup: Sequence[Told] = ()  # shell lines that prepare a node, in its container where it has one
    shared_folders: Sequence[str] = ()  # those the file mounts from, or checks to be, shared storage
    reaches_storage: bool | None = None  # whether the nodes have an identity that object stores know

    @property
    def kind(self) -> str:
        return "the head" if self.is_head else f"worker group '{self.name}'"


@dataclass(frozen=True)
class Remedies:
    """How each thing is mended in the language of the file's tool."""

    token: str
    token_file: str
    access: str
    head: str
    autoscaler: str
    gpu: str
    setup: str


@dataclass(frozen=True)
class ClusterPlan:
    """One cluster. `lines` tells where something missing belongs: environment, mounts, setup, autoscaler."""

    head: NodeGroup
    workers: Sequence[NodeGroup]
    autoscales: bool
    remedies: Remedies
    lines: Mapping[str, int] = field(default_factory=dict)
    ray_version: Told | None = None  # said beside the images
    mounted: Mapping[str, Told] = field(default_factory=dict)  # folder or file on the nodes to where it comes from
    hands_token_out: bool = False  # KubeRay's own token
    images_hide_gpus: bool = True

    @property
    def groups(self) -> list[NodeGroup]:
        return [self.head, *self.workers]


def is_shared(told: Told, group: NodeGroup) -> bool:
    """Whether a place is on storage that outlives a node and that all nodes see."""
    return bool(REMOTE.match(told.text)) or any(_lies_in(told.text, folder) for folder in group.shared_folders)


def _lies_in(path: str, folder: str) -> bool:
    folder = folder.rstrip("/")
    return path == folder or path.startswith(f"{folder}/")

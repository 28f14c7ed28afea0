"""The plan of a file for `ray up`."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vgsearch.cluster.check import machines, shell
from vgsearch.cluster.check.document import Document
from vgsearch.cluster.check.plan import ClusterPlan, FileText, NodeGroup, Remedies

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TYPES = "available_node_types"
_REMEDIES = Remedies(
    token="Add --env RAY_AUTH_MODE=token to docker.run_options, or put it before each `ray start`.",
    token_file="Add /home/ray/.ray/auth_token: ~/.ray/auth_token to file_mounts (`ray get-auth-token --generate`).",
    access="Give the node type IamInstanceProfile (AWS) or serviceAccounts (GCP) with access to the bucket.",
    head="Give it a machine without GPUs and resources: {CPU: 0}; locally `ray start --num-cpus=0 --num-gpus=0`.",
    autoscaler="Add --autoscaling-config=~/ray_bootstrap_config.yaml to the head's `ray start`.",
    gpu="Choose an InstanceType with GPUs (AWS), or guestAccelerators and resources: {GPU: n} (GCP).",
    setup="Add `pip install -c .../constraints.txt .../vgsearch-*.whl` to setup_commands, its files to file_mounts.",
)


def launcher_plan(document: Document) -> ClusterPlan:
    """The plan of a file that Ray accepts."""
    head_type = document.at("head_node_type")
    types = [name for name in document.mapping(_TYPES) if name != head_type]
    local = document.at("provider", "type") == "local"
    head = local_head(document) if local else _cloud_group(document, head_type, is_head=True)
    workers = [_local_workers(document)] if local else [_cloud_group(document, name, is_head=False) for name in types]
    mounts = document.mapping("file_mounts")
    head_line = start_line(document, is_head=True).line
    sections = {"environment": "docker", "mounts": "file_mounts", "setup": "setup_commands"}
    return ClusterPlan(
        head=head,
        workers=workers,
        autoscales="autoscaling-config" in shell.flags(start_line(document, is_head=True).text)
        or document.at("head_start_ray_commands") is None,  # the launcher's default has the option
        remedies=_REMEDIES,
        lines={**{what: document.line(key) for what, key in sections.items()}, "autoscaler": head_line},
        mounted={
            str(there): FileText(str(here), document.line("file_mounts", there)) for there, here in mounts.items()
        },
    )


def start_line(document: Document, is_head: bool) -> FileText:
    """The command that starts Ray on the head or on workers; empty if the file leaves it to the launcher."""
    key = "head_start_ray_commands" if is_head else "worker_start_ray_commands"
    found = shell.ray_start([str(line) for line in document.sequence(key)])
    return FileText(found[1], document.line(key, found[0])) if found else FileText("", document.line(key))


def uses_docker(document: Document) -> bool:
    return any(document.at("docker", key) for key in ("image", "head_image", "worker_image"))


def local_head(document: Document) -> NodeGroup:
    flags = shell.flags(start_line(document, is_head=True).text)
    return NodeGroup(
        name="head",
        line=start_line(document, is_head=True).line,
        is_head=True,
        n_cpus=_number(flags.get("num-cpus"), math.inf),
        n_gpus=_number(flags.get("num-gpus"), math.inf),
        **_common_fields(document, None, is_head=True),
    )


def _local_workers(document: Document) -> NodeGroup:
    addresses = document.sequence("provider", "worker_ips")
    coordinated = document.at("provider", "coordinator_address") is not None
    most = document.at("max_workers", default=math.inf if coordinated else len(addresses))
    return NodeGroup(
        name="workers",
        line=document.line("provider", "worker_ips"),
        n_gpus=_number(shell.flags(start_line(document, is_head=False).text).get("num-gpus"), None),
        most=most if coordinated else min(most, len(addresses)),
        **_common_fields(document, None, is_head=False),
    )


def _cloud_group(document: Document, name: Any, is_head: bool) -> NodeGroup:
    provider = document.at("provider", "type")
    node_type = document.mapping(_TYPES, name)
    node = document.mapping(_TYPES, name, "node_config")
    declared = document.mapping(_TYPES, name, "resources")
    flags = shell.flags(start_line(document, is_head).text)
    limit = document.at("max_workers", default=2)  # Ray's own default
    gpus = machines.n_gpus(provider, node)
    undeclared = provider == "gcp" and gpus and not is_head  # its own rule reports this, not the rule for missing GPUs
    return NodeGroup(
        name=str(name),
        line=document.line(_TYPES, name),
        is_head=is_head,
        n_cpus=declared.get("CPU", _number(flags.get("num-cpus"), math.inf)),
        n_gpus=declared.get("GPU", None if undeclared else gpus),
        gpu=machines.gpu(provider, node),
        most=min(node_type.get("max_workers", limit), limit),
        least=node_type.get("min_workers", 0),
        is_spot=machines.is_spot(provider, node),
        reaches_storage=_reaches_storage(document, provider, node, is_head),
        **_common_fields(document, name, is_head),
    )


def _common_fields(document: Document, name: Any, is_head: bool) -> dict[str, Any]:
    """Image, environment, setup and shared folders of a group, from settings for it, its kind, and all nodes."""
    return {
        "image": _image(document, name, is_head),
        "environment": _environment(document, name, is_head),
        "setup": tuple(_lines(document, _setup_places(document, name, is_head))),
        "shared_folders": tuple(_shared_folders(document, name, is_head)),
    }


def _image(document: Document, name: Any, is_head: bool) -> FileText | None:
    own = [(_TYPES, name, "docker", "worker_image")] if name is not None and not is_head else []
    for place in [*own, ("docker", "head_image" if is_head else "worker_image"), ("docker", "image")]:
        if document.at(*place):
            return FileText(str(document.at(*place)), document.line(*place))
    return None


def _setup_places(document: Document, name: Any, is_head: bool) -> list[tuple[str, ...]]:
    kind = ("head_setup_commands",) if is_head else ("worker_setup_commands",)
    if not is_head and document.sequence(_TYPES, name, "worker_setup_commands"):
        return [(_TYPES, name, "worker_setup_commands")]  # replaces the common commands
    return [("setup_commands",), kind]


def _option_places(name: Any, is_head: bool) -> list[tuple[str, ...]]:
    own = [] if is_head else [(_TYPES, name, "docker", "worker_run_options")]
    return [("docker", "run_options"), ("docker", "head_run_options" if is_head else "worker_run_options"), *own]


def _lines(document: Document, places: Sequence[tuple[str, ...]]) -> Iterator[FileText]:
    for place in places:
        for index, line in enumerate(document.sequence(*place)):
            yield FileText(str(line), document.line(*place, index))


def _environment(document: Document, name: Any, is_head: bool) -> Mapping[str, FileText]:
    """Variables that are set where Ray runs: in the container, in its shell's profile, or in the start command.

    Initialization commands run outside the container, and each command runs in its own shell.
    """
    outside = [] if uses_docker(document) else [("initialization_commands",)]
    lasting = [
        command
        for command in _lines(document, outside + _setup_places(document, name, is_head))
        if shell.lasting(command.text)
    ]
    options = list(_lines(document, _option_places(name, is_head))) if uses_docker(document) else []
    found: dict[str, FileText] = {}
    for command in [*options, *lasting, start_line(document, is_head)]:
        found |= {name: FileText(value, command.line) for name, value in shell.assignments(command.text).items()}
    return found


def _shared_folders(document: Document, name: Any, is_head: bool) -> Iterator[str]:
    places = [("initialization_commands",), *_setup_places(document, name, is_head)]
    mounted = [folder for command in _lines(document, places) for folder in shell.mounted_folders(command.text)]
    if not uses_docker(document):
        yield from mounted
        return
    options = [command.text for command in _lines(document, _option_places(name, is_head))]
    yield from (inside for outside, inside in shell.volumes(options) if outside in mounted)


def _reaches_storage(document: Document, provider: str, node: Mapping[str, Any], is_head: bool) -> bool | None:
    """Whether a node has cloud credentials; None if the file cannot show it."""
    if is_head or any(".aws" in str(there) or "gcloud" in str(there) for there in document.mapping("file_mounts")):
        return True  # the launcher gives the head a role with access to the project's buckets
    return machines.has_identity(provider, node)


def _number(text: str | None, otherwise: float | None) -> float | None:
    try:
        return otherwise if text is None else float(text)
    except ValueError:
        return otherwise

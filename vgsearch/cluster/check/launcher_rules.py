"""Rules for files for `ray up`: open ports, and defaults of the launcher."""

from collections.abc import Iterator, Mapping
from typing import Any

from vgsearch.cluster.check import machines, shell
from vgsearch.cluster.check.document import Document
from vgsearch.cluster.check.finding import Finding
from vgsearch.cluster.check.known_settings import READ_PROVIDERS
from vgsearch.cluster.check.launcher import LOOPBACK, start_line

_WORLD = ("0.0.0.0/0", "::/0")
_SSH = 22
_SSH_OPEN = "access to port 22 should be limited to your addresses"
_TYPES = "available_node_types"
_FIRST_AUTOSCALER = "RAY_enable_autoscaler_v2=0"


def dashboard_listens_on_loopback(document: Document) -> Iterator[Finding]:
    """dashboard-exposed: the dashboard, which accepts jobs, is reachable only through `ray dashboard`."""
    start = start_line(document, is_head=True)
    host = shell.flags(start.text).get("dashboard-host", "127.0.0.1")
    by_default = not start.text and document.at("provider", "type") != "local"
    if by_default or host not in LOOPBACK:
        came = "no head_start_ray_commands; the launcher's default is 0.0.0.0" if by_default else f"'{host}'"
        yield Finding(
            "dashboard-exposed",
            start.line,
            "the dashboard must listen on loopback",
            came,
            "Start the head's Ray with --dashboard-host=127.0.0.1; `ray dashboard FILE` forwards it over ssh.",
        )


def ports_are_closed_to_the_world(document: Document) -> Iterator[Finding]:
    """open-ports: only ssh is open to the internet. ssh-open (note): ssh is."""
    path = ("provider", "security_group", "IpPermissions")
    for index, permission in enumerate(document.sequence(*path)):
        ranges = _ranges(permission) if isinstance(permission, Mapping) else []
        world, line = sorted(set(ranges) & set(_WORLD)), document.line(*path, index)
        if not world:
            continue
        first, last = permission.get("FromPort"), permission.get("ToPort")
        came = f"{'all ports' if first in (None, -1) else f'ports {first} to {last}'} open to {' and '.join(world)}"
        if first == last == _SSH:
            yield Finding("ssh-open", line, _SSH_OPEN, came, "List your own addresses instead.", is_note=True)
        else:
            remedy = "Remove the permission, or list your own addresses; use Ray's ports through ssh."
            yield Finding("open-ports", line, "no port but 22 may be open to the internet", came, remedy)
    if document.at("provider", "type") == "aws":
        yield from _ssh_of_the_launcher(document)


def _ssh_of_the_launcher(document: Document) -> Iterator[Finding]:
    bound = ("SecurityGroupIds", "NetworkInterfaces", "LaunchTemplate")
    for name in document.mapping(_TYPES):
        if not any(document.at(_TYPES, name, "node_config", key) for key in bound):
            yield Finding(
                "ssh-open",
                document.line(_TYPES, name),
                _SSH_OPEN,
                "no SecurityGroupIds: the launcher creates a group that opens port 22 to the internet (key login)",
                "Give every node type SecurityGroupIds of a group that admits your addresses and its own members.",
                is_note=True,
            )
            return


def _ranges(permission: Mapping[str, Any]) -> list[str]:
    found = [("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6")]
    return [
        str(part[key])
        for name, key in found
        for part in permission.get(name) or ()
        if isinstance(part, Mapping) and key in part
    ]


def workers_join(document: Document) -> Iterator[Finding]:
    """never-joins: workers connect to the head, and the head's autoscaler starts those of a list of machines."""
    yield from _listed_workers_start(document)
    start = start_line(document, is_head=False)
    written = document.at("worker_start_ray_commands") is not None
    if written and "address" not in shell.flags(start.text):
        yield Finding(
            "never-joins",
            start.line,
            "workers must connect to the head",
            "no `ray start --address` in worker_start_ray_commands",
            "Add `ray start --address=$RAY_HEAD_IP:6379`, or remove the section to use the launcher's default.",
        )


def _listed_workers_start(document: Document) -> Iterator[Finding]:
    """Ray 2.60's second autoscaler, which `ray up` turns on, knows no provider local (Ray's issue 57153)."""
    start = start_line(document, is_head=True)
    if document.at("provider", "type") == "local" and _FIRST_AUTOSCALER not in start.text:
        yield Finding(
            "never-joins",
            start.line,
            "the head must run Ray's first autoscaler: the second one starts no worker of a list of machines",
            f"no {_FIRST_AUTOSCALER} in the command that starts Ray",
            f"Write `{_FIRST_AUTOSCALER} ray start --head ...` in head_start_ray_commands.",
        )


def gpu_machines_have_a_driver(document: Document) -> Iterator[Finding]:
    """machine-image: machines with GPUs use an image with a driver for the current torch."""
    for name in document.mapping(_TYPES):
        node = document.mapping(_TYPES, name, "node_config")
        if document.at("provider", "type") == "aws":
            old = machines.n_gpus("aws", node) and not node.get("ImageId") and not node.get("LaunchTemplate")
            came = "no ImageId; the launcher's default is Ubuntu 18.04 with a driver for CUDA 11.2"
        else:
            old = machines.has_gpus(node) and "family/common-cpu" in str(node.get("disks"))
            came = "an image of the family common-cpu, which has no driver"
        if old:
            remedy = "Name a current image with Docker and the NVIDIA driver; cluster/README.md shows how to find one."
            yield Finding(
                "machine-image",
                document.line(_TYPES, name),
                f"'{name}' must use an image with a GPU driver",
                came,
                remedy,
            )
            return


def gpus_are_declared(document: Document) -> Iterator[Finding]:
    """undeclared-gpu: on Compute Engine the autoscaler knows only the GPUs in `resources`."""
    if document.at("provider", "type") != "gcp":
        return
    for name in document.mapping(_TYPES):
        has = machines.has_gpus(document.mapping(_TYPES, name, "node_config"))
        if has and not document.at(_TYPES, name, "resources", "GPU") and name != document.at("head_node_type"):
            yield Finding(
                "undeclared-gpu",
                document.line(_TYPES, name),
                f"the GPUs of '{name}' must be declared, or the autoscaler never adds such a node",
                "no GPU in its resources",
                "Add resources: {CPU: n, GPU: n}.",
            )


def gpu_machines_stop_for_maintenance(document: Document) -> Iterator[Finding]:
    """host-maintenance: Compute Engine refuses a machine with GPUs that it would have to move while it runs."""
    if document.at("provider", "type") != "gcp":
        return
    for name in document.mapping(_TYPES):
        node = document.mapping(_TYPES, name, "node_config")
        policy = machines.scheduling(node).get("onHostMaintenance")
        if machines.has_gpus(node) and policy != "TERMINATE" and not node.get("sourceInstanceTemplate"):
            yield Finding(
                "host-maintenance",
                document.line(_TYPES, name, "node_config", "scheduling"),
                f"'{name}' has GPUs, so its scheduling must say onHostMaintenance: TERMINATE",
                str(policy) if policy else "nothing",
                "Add scheduling: {onHostMaintenance: TERMINATE} to its node_config.",
            )
            return


def down_terminates_nodes(document: Document) -> Iterator[Finding]:
    """stopped-nodes (note): `ray down` terminates nodes instead of stopping them."""
    is_aws = document.at("provider", "type") == "aws"
    if is_aws and document.at("provider", "cache_stopped_nodes") is not False:
        yield Finding(
            "stopped-nodes",
            document.line("provider", "cache_stopped_nodes"),
            "`ray down` terminates nodes only with provider.cache_stopped_nodes: false",
            "nodes that are stopped, and whose disks still cost money",
            "Set cache_stopped_nodes: false.",
            is_note=True,
        )


def provider_is_known(document: Document) -> Iterator[Finding]:
    """other-provider (note): node_config is checked for AWS and Google only."""
    provider = document.at("provider", "type")
    if provider not in READ_PROVIDERS:
        known = ", ".join(READ_PROVIDERS)
        remedy = "Compare its node_config with the provider's reference."
        came, line = f"'{provider}'", document.line("provider", "type")
        yield Finding("other-provider", line, f"only {known} are checked completely", came, remedy, is_note=True)

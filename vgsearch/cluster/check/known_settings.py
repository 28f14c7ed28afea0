"""Names of settings that Ray's schema leaves free: those of `provider`, and those of each cloud's machines."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path as File
from typing import Any

import yaml

from vgsearch.cluster.check.document import Document, Path
from vgsearch.cluster.check.finding import Finding
from vgsearch.cluster.check.launcher_schema import launcher_schema
from vgsearch.cluster.check.schema import nearest

Names = Mapping[str, Any]
"""Known names, each with the known names below it; empty if any name is allowed there."""

READ_PROVIDERS = ("aws", "gcp", "local")
# The launcher reads these of `provider`, and its schema does not list them.
_PROVIDER_BEYOND_SCHEMA = (
    "aws_credentials coordinator_address disable_launch_config_check external_head_ip foreground_node_launch "
    "use_external_head_ip worker_liveness_check"
)


@functools.cache
def node_names() -> dict[str, Names]:
    """node_settings.yaml: the names under node_config for aws and gcp, and those of an ip_permission."""
    tables = yaml.safe_load((File(__file__).parent / "node_settings.yaml").read_text("utf-8"))
    return {cloud: _names(table) for cloud, table in tables.items()}


def _names(table: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {name: {} for name in table.get("plain", "").split()}
    return plain | {name: _names(below) for name, below in table.items() if name != "plain"}


def provider_names() -> Names:
    """The names under `provider`: those in Ray's schema, and others that its launcher reads."""
    listed = launcher_schema()["properties"]["provider"]["properties"]
    names: dict[str, Any] = {name: {} for name in [*listed, *_PROVIDER_BEYOND_SCHEMA.split()]}
    return names | {"security_group": {"GroupName": {}, "IpPermissions": node_names()["ip_permission"]}}


def settings_have_known_names(document: Document) -> Iterator[Finding]:
    """unknown-key: Ray or the cloud knows every name in `provider` and in each `node_config`."""
    provider = str(document.at("provider", "type"))
    if provider in READ_PROVIDERS:
        yield from _unknown(document, ("provider",), document.at("provider"), provider_names())
    names, lines = node_names().get(provider), set()
    for node_type in document.mapping("available_node_types") if names else ():
        path = ("available_node_types", node_type, "node_config")
        for finding in _unknown(document, path, document.at(*path), names or {}):
            if finding.line not in lines:  # an anchor gives the same lines to several types
                lines.add(finding.line)
                yield finding


def _unknown(document: Document, path: Path, value: Any, names: Names) -> Iterator[Finding]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            place = (*path, name)
            if name not in names:
                must = f"settings under {'.'.join(map(str, path))} must be known"
                yield Finding("unknown-key", document.line(*place), must, f"'{name}'", nearest(str(name), [*names]))
            elif names[name]:
                yield from _unknown(document, place, inner, names[name])
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, inner in enumerate(value):
            yield from _unknown(document, (*path, index), inner, names)

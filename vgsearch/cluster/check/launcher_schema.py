"""The launcher's schema that Ray ships, and what the launcher refuses beyond it; read without importing ray."""

import functools
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from vgsearch.cluster.check.document import Document
from vgsearch.cluster.check.finding import Finding
from vgsearch.cluster.check.schema import differences

_REMEDY = "Compare it with Ray's reference of cluster files."
_TYPES = "available_node_types"


def _autoscaler() -> Path:
    """The folder of Ray's launcher; finding a top-level package runs none of its code."""
    found = importlib.util.find_spec("ray")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("ray is not installed, and its launcher's schema is part of it", name="ray")
    return Path(found.submodule_search_locations[0]) / "autoscaler"


@functools.cache
def launcher_schema() -> dict[str, Any]:
    """ray-schema.json of the installed Ray."""
    schema: dict[str, Any] = json.loads((_autoscaler() / "ray-schema.json").read_text("utf-8"))
    return schema


@functools.cache
def launcher_defaults(provider: str) -> dict[str, Any] | None:
    """The launcher's defaults for a provider; None if it does not know the provider."""
    file = _autoscaler() / provider / "defaults.yaml"
    if provider == "external":
        return {"max_workers": 0}
    defaults: dict[str, Any] | None = yaml.safe_load(file.read_text("utf-8")) if file.is_file() else None
    return defaults


def ray_accepts_the_file(document: Document) -> Iterator[Finding]:
    """schema, unknown-key: the launcher accepts the file."""
    found = list(differences(_without_ignored(document), launcher_schema(), _REMEDY))
    yield from found or _refused_beyond_the_schema(document)


def _without_ignored(document: Document) -> Document:
    """Without settings of old versions that the launcher drops: min_workers, and two that are empty."""
    dropped = {"min_workers", *(key for key in ("head_node", "worker_nodes") if not document.at(key))}
    return Document({key: value for key, value in document.values.items() if key not in dropped}, document.lines)


def _refused_beyond_the_schema(document: Document) -> Iterator[Finding]:
    """Findings of the launcher's code that its schema cannot express."""
    provider = document.at("provider", "type")
    defaults = launcher_defaults(provider)
    if defaults is None:
        yield _refused(document, ("provider", "type"), "provider.type must be one that Ray has", f"'{provider}'")
        return
    docker = document.mapping("docker")
    images = [docker.get("image") or docker.get(key) for key in ("head_image", "worker_image")]
    if (any(images) or docker.get("container_name")) and not (all(images) and docker.get("container_name")):
        must = "docker must name images for head and workers, and a container_name"
        yield _refused(document, ("docker",), must, ", ".join(docker))
    yield from _local(document) if provider == "local" else _node_types(document, defaults)


def _local(document: Document) -> Iterator[Finding]:
    provider = document.mapping("provider")
    if document.at(_TYPES):
        must = "a local cluster must not have available_node_types; its machines are in provider.worker_ips"
        yield _refused(document, (_TYPES,), must, "some")
    if "coordinator_address" in provider:
        if document.at("max_workers") is None:
            must = "max_workers must be set beside provider.coordinator_address"
            yield _refused(document, ("provider", "coordinator_address"), must, "nothing")
    elif not {"head_ip", "worker_ips"} <= set(provider):
        must = "provider must have head_ip and worker_ips, or coordinator_address"
        yield _refused(document, ("provider",), must, ", ".join(provider))


def _node_types(document: Document, defaults: dict[str, Any]) -> Iterator[Finding]:
    types = document.mapping(_TYPES)
    if not types:
        return  # the launcher's own
    for name in types:
        if not isinstance(name, str):
            yield _refused(document, (_TYPES, str(name)), "names of node types must be text; quote it", f"{name}")
    head = document.at("head_node_type")
    if head not in types:
        must = f"head_node_type must be one of {', '.join(map(str, types))}"
        yield _refused(document, ("head_node_type",), must, f"'{head}'" if head else "nothing")
    least = sum(node_type.get("min_workers", 0) for node_type in types.values())
    most = document.at("max_workers", default=defaults.get("max_workers", 0))
    if least > most:
        must = f"max_workers must be at least {least}, the sum of all min_workers"
        yield _refused(document, ("max_workers",), must, str(most))


def _refused(document: Document, path: tuple[str, ...], must: str, came: str) -> Finding:
    return Finding("schema", document.line(*path), must, came, _REMEDY)

"""Write kuberay_fields.json from KubeRay's resource definition of a RayJob.

`python -m vgsearch.cluster.check.generate_kuberay_fields RAYJOBS_CRD.yaml "KubeRay v1.7.0, PATH"`, or `make
kuberay-fields`. The definition is helm-chart/kuberay-operator/crds/ray.io_rayjobs.yaml of KubeRay's repository; it
includes all of a RayCluster as rayClusterSpec. The output is a JSON Schema of field names and types alone.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

Schema = dict[str, Any]  # JSON
FIELDS = Path(__file__).parent / "kuberay_fields.json"
# The definition leaves these open; KubeRay's operator or Kubernetes refuses anything else.
_VALUES = {
    "submissionMode": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"],
    "serviceType": ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"],
    "imagePullPolicy": ["Always", "IfNotPresent", "Never"],
}


def field_schema(crd: Mapping[str, Any], source: str) -> Schema:
    """The JSON Schema of a RayJob and a RayCluster, closed wherever the definition names its fields."""
    version = next(version for version in crd["spec"]["versions"] if version["name"] == "v1")
    job = _closed(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
    counts = Counter(_text(part) for part in _objects(job))
    definitions: Schema = {}
    shared = _shared(job, "RayJobSpec", counts, definitions)
    cluster = shared["properties"].pop("rayClusterSpec")
    shared["properties"]["rayClusterSpec"] = {"$ref": "#/definitions/RayClusterSpec"}
    definitions |= {"RayJobSpec": shared, "RayClusterSpec": cluster}
    definitions |= {kind: _kind(kind) for kind in ("RayJob", "RayCluster")}
    return {"source": source, "definitions": dict(sorted(definitions.items()))}


def _kind(kind: str) -> Schema:
    fixed = {"apiVersion": {"enum": ["ray.io/v1"]}, "kind": {"enum": [kind]}}
    rest = {"metadata": {"type": "object"}, "spec": {"$ref": f"#/definitions/{kind}Spec"}, "status": {}}
    return _object({**fixed, **rest}, ["apiVersion", "kind", "metadata", "spec"])


def _object(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def _closed(schema: Mapping[str, Any], name: str = "") -> Schema:
    """One part of the definition without descriptions and defaults; it takes no field that it does not name."""
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["number", "string"]}
    if "properties" in schema:
        properties = {field: _closed(part, field) for field, part in sorted(schema["properties"].items())}
        optional = {field for field, part in schema["properties"].items() if "default" in part}
        required = {*schema.get("required", ()), *(("spec",) if name == "template" else ())}
        return _object(properties, sorted(required - optional))
    closed: Schema = {key: schema[key] for key in ("type", "enum", "minimum", "minItems") if key in schema}
    if name in _VALUES and schema.get("type") == "string":
        closed["enum"] = _VALUES[name]
    if name.endswith(("Seconds", "eplicas", "Limit")) and schema.get("type") == "integer":
        closed.setdefault("minimum", 0)
    if name == "containers":
        closed["minItems"] = 1
    if isinstance(schema.get("additionalProperties"), Mapping):
        closed["additionalProperties"] = _closed(schema["additionalProperties"])
    if "items" in schema:
        closed["items"] = _closed(schema["items"])
    return closed


def _objects(schema: Schema) -> Iterator[Schema]:
    """Every part that names fields, the outer ones first."""
    if "properties" in schema:
        yield schema
    for part in [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]:
        if isinstance(part, dict):
            yield from _objects(part)


def _shared(schema: Schema, name: str, counts: Mapping[str, int], definitions: Schema) -> Schema:
    """The schema with each part that occurs more than once replaced by a reference into `definitions`."""
    text, written = _text(schema), dict(schema)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            written[key] = _shared(schema[key], name, counts, definitions)
    if "properties" not in schema:
        return written
    parts = schema["properties"].items()
    written["properties"] = {field: _shared(part, field, counts, definitions) for field, part in parts}
    if counts[text] == 1:
        return written
    same = (known for known, part in definitions.items() if part == written)
    names = (name if n == 0 else f"{name}{n + 1}" for n in range(len(definitions) + 1))
    known = next(same, None) or next(free for free in names if free not in definitions)
    definitions[known] = written
    return {"$ref": f"#/definitions/{known}"}


def _text(schema: Schema) -> str:
    return json.dumps(schema, sort_keys=True)


def main(crd_file: str, source: str) -> None:
    """Write the file; one definition a line, so that a new version's changes can be read as a diff."""
    schema = field_schema(yaml.safe_load(Path(crd_file).read_text()), source)
    lines = [f"{json.dumps(name)}: {json.dumps(part)}" for name, part in schema["definitions"].items()]
    text = f'{{"source": {json.dumps(source)},\n"definitions": {{\n' + ",\n".join(lines) + "\n}}\n"
    FIELDS.write_text(text)
    print(f"wrote {FIELDS}: {len(lines)} definitions, {len(text)} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Write kuberay_fields.json from KubeRay's resource definition of a RayJob.

`python -m vgsearch.cluster.check.generate_kuberay_fields RAYJOBS_CRD.yaml "KubeRay v1.7.0, PATH"`, or `make
kuberay-fields`. The definition is helm-chart/kuberay-operator/crds/ray.io_rayjobs.yaml of KubeRay's repository; it
includes all of a RayCluster as rayClusterSpec. The output is a JSON Schema of field names and types alone.
"""

import json
import sys
from collections.abc import Mapping
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
    definitions: Schema = {}
    spec = _closed(version["schema"]["openAPIV3Schema"]["properties"]["spec"], "rayJobSpec", definitions)
    definitions["RayJob"] = _kind("RayJob", spec)
    definitions["RayCluster"] = _kind("RayCluster", {"$ref": "#/definitions/rayClusterSpec"})
    return {"source": source, "definitions": dict(sorted(definitions.items()))}


def _kind(kind: str, spec: Schema) -> Schema:
    fixed = {"apiVersion": {"enum": ["ray.io/v1"]}, "kind": {"enum": [kind]}}
    fields = {**fixed, "metadata": {"type": "object"}, "spec": spec, "status": {}}
    return _object(fields, {"apiVersion", "kind", "metadata", "spec"})


def _object(properties: Schema, required: set[str]) -> Schema:
    return {"type": "object", "additionalProperties": False, "required": sorted(required), "properties": properties}


def _closed(schema: Mapping[str, Any], name: str, definitions: Schema) -> Schema:
    """One part without descriptions and defaults.

    A part with named fields becomes a definition, equal parts the same.
    """
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["number", "string"]}
    if "properties" in schema:
        parts = sorted(schema["properties"].items())
        required = {*schema.get("required", ()), *(("spec",) if name == "template" else ())}
        required -= {field for field, part in parts if "default" in part}  # Kubernetes fills these in
        closed = _object({field: _closed(part, field, definitions) for field, part in parts}, required)
        free = (f"{name}{n or ''}" for n in range(len(definitions) + 1) if f"{name}{n or ''}" not in definitions)
        known = next((known for known, part in definitions.items() if part == closed), None) or next(free)
        definitions[known] = closed
        return {"$ref": f"#/definitions/{known}"}
    closed = {key: schema[key] for key in ("type", "enum", "minimum", "minItems") if key in schema}
    if name in _VALUES and schema.get("type") == "string":
        closed["enum"] = _VALUES[name]
    if name.endswith(("Seconds", "eplicas", "Limit")) and schema.get("type") == "integer":
        closed.setdefault("minimum", 0)
    if name == "containers":
        closed["minItems"] = 1
    for key in {"additionalProperties", "items"} & schema.keys():
        closed[key] = _closed(schema[key], name, definitions)
    return closed


def main(crd_file: str, source: str) -> None:
    """Write the file; one definition a line, so that a new version's changes can be read as a diff."""
    schema = field_schema(yaml.safe_load(Path(crd_file).read_text("utf-8")), source)
    lines = [f"{json.dumps(name)}: {json.dumps(part)}" for name, part in schema["definitions"].items()]
    text = f'{{"source": {json.dumps(source)},\n"definitions": {{\n' + ",\n".join(lines) + "\n}}\n"
    FIELDS.write_text(text, "utf-8")
    print(f"wrote {FIELDS}: {len(lines)} definitions, {len(text)} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])

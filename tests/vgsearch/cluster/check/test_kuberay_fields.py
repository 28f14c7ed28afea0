"""The table of KubeRay's fields is generated from a resource definition and contains every part it refers to."""

import json

import pytest
import yaml

from vgsearch.cluster.check.document import read_documents
from vgsearch.cluster.check.generate_kuberay_fields import field_schema
from vgsearch.cluster.check.kuberay import fields_are_those_of_kuberay, kuberay_fields

CRD = """
spec:
  versions:
    - name: v1alpha1
    - name: v1
      schema:
        openAPIV3Schema:
          properties:
            spec:
              properties:
                backoffLimit: {type: integer, default: 0, description: retries}
                submissionMode: {type: string, default: K8sJobMode}
                rayClusterSpec:
                  required: [first, rayVersion, size]
                  properties:
                    rayVersion: {type: string}
                    size: {x-kubernetes-int-or-string: true, default: 1Gi}
                    first: &pod {properties: {name: {type: string}}, required: [name]}
                    rest: {type: array, items: *pod}
"""


def test_a_definition_becomes_a_closed_schema_with_equal_parts_written_once():
    schema = field_schema(yaml.safe_load(CRD), "KubeRay v0")
    assert schema["source"] == "KubeRay v0"
    definitions = schema["definitions"]
    assert set(definitions) == {"RayJob", "RayCluster", "rayJobSpec", "rayClusterSpec", "first"}
    assert definitions["rayJobSpec"]["properties"]["backoffLimit"] == {"type": "integer", "minimum": 0}
    assert "SidecarMode" in definitions["rayJobSpec"]["properties"]["submissionMode"]["enum"]
    cluster = definitions["rayClusterSpec"]
    assert cluster["required"] == ["first", "rayVersion"]  # Kubernetes fills in the size
    assert cluster["additionalProperties"] is False
    assert cluster["properties"] == {
        "first": {"$ref": "#/definitions/first"},
        "rayVersion": {"type": "string"},
        "rest": {"type": "array", "items": {"$ref": "#/definitions/first"}},
        "size": {"type": ["number", "string"]},
    }


def test_the_shipped_table_names_its_version_and_has_each_part_that_it_refers_to():
    fields = kuberay_fields()
    assert fields["source"].startswith("KubeRay v1.")
    references = json.dumps(fields).split('"$ref": "#/definitions/')[1:]
    assert {text.split('"')[0] for text in references} <= set(fields["definitions"])


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ("tolerations: [{key: x, efect: NoSchedule}]", "workerGroupSpecs.0.template.spec.tolerations.0"),
        ("affinity: {nodeAfinity: {}}", "workerGroupSpecs.0.template.spec.affinity"),
        ("volumes: [{name: x, persistentVolumeClaims: {claimName: y}}]", "workerGroupSpecs.0.template.spec.volumes.0"),
    ],
)
def test_a_typo_deep_in_a_pod_is_found(spec: str, place: str):
    text = (
        "{apiVersion: ray.io/v1, kind: RayCluster, metadata: {}, spec: {headGroupSpec: "
        "{template: {spec: {containers: [{name: ray}]}}}, workerGroupSpecs: [{groupName: gpu, template: "
        f"{{spec: {{containers: [{{name: ray}}], {spec}}}}}}}]}}}}"
    )
    (finding,) = fields_are_those_of_kuberay(read_documents(text)[0])
    assert finding.rule == "unknown-key"
    assert finding.must == f"settings under spec.{place} must be known"


@pytest.mark.parametrize(
    ("old", "new"),
    [("[{name: ray}]", "[]"), ("{spec: {containers: [{name: ray}]}}", "{}"), ("name: ray", "image: ray")],
)
def test_a_pod_needs_a_named_container(old: str, new: str):
    text = (
        "{apiVersion: ray.io/v1, kind: RayCluster, metadata: {}, "
        "spec: {headGroupSpec: {template: {spec: {containers: [{name: ray}]}}}}}"
    )
    assert not list(fields_are_those_of_kuberay(read_documents(text)[0]))
    assert list(fields_are_those_of_kuberay(read_documents(text.replace(old, new))[0]))

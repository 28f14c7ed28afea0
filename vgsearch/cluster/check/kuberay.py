"""A RayJob or RayCluster of KubeRay: its fields, its plan, and rules that only such files need."""

import functools
import json
import math
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vgsearch.cluster.check import machines
from vgsearch.cluster.check.document import Document
from vgsearch.cluster.check.finding import Finding
from vgsearch.cluster.check.plan import REMOTE, ClusterPlan, FileText, NodeGroup, Remedies
from vgsearch.cluster.check.schema import differences
from vgsearch.cluster.check.versions import needed_ray

KINDS = ("RayJob", "RayCluster")
_GPU = "nvidia.com/gpu"
_RAY = ("template", "spec", "containers", 0)
# Volumes that end with the pod or the node, or contain only settings.
_NOT_SHARED = {"emptyDir", "hostPath", "configMap", "secret", "projected", "downwardAPI", "ephemeral", "image"}
_SPOT = re.compile(r"gke-spot|gke-preemptible|capacity-?type.*spot|scalesetpriority.*spot", re.IGNORECASE | re.DOTALL)
_REMEDIES = Remedies(
    token="Add authOptions: {mode: token} to the cluster's spec; KubeRay 1.5.1 or newer generates and distributes it.",
    token_file="Take RAY_AUTH_TOKEN from a Secret (valueFrom.secretKeyRef), or use authOptions: {mode: token}.",
    access="Give its pods a serviceAccountName with read and write access to the bucket.",
    head='Set headGroupSpec.rayStartParams: {num-cpus: "0"} and give its container no GPU.',
    autoscaler="Set enableInTreeAutoscaling: true, or a group's replicas.",
    gpu=f"Give a worker group's container resources: limits: {{{_GPU}: 1}}.",
    setup="Build cluster/Dockerfile and name its image.",
)


@functools.cache
def kuberay_fields() -> dict[str, Any]:
    """kuberay_fields.json, which generate_kuberay_fields.py writes: its source, and JSON Schemas by definition."""
    fields: dict[str, Any] = json.loads((Path(__file__).parent / "kuberay_fields.json").read_text("utf-8"))
    return fields


def fields_are_those_of_kuberay(document: Document) -> Iterator[Finding]:
    """schema, unknown-key: Kubernetes accepts the object, and KubeRay reads every field."""
    schema = {**kuberay_fields(), "$ref": f"#/definitions/{document.at('kind')}"}
    yield from differences(document, schema, "Write it as KubeRay's reference says; quote numbers that must be text.")


def cluster_of(document: Document) -> Document | None:
    """The part that describes the cluster; None if a job selects a running cluster."""
    path = ("spec", "rayClusterSpec") if document.at("kind") == "RayJob" else ("spec",)
    return document.below(*path) if document.mapping(*path) else None


def kuberay_plan(document: Document, cluster: Document) -> ClusterPlan:
    """The plan of a file that fits the schema."""
    runtime = FileText(document.at("spec", "runtimeEnvYAML", default=""), document.line("spec", "runtimeEnvYAML"))
    head = cluster.below("headGroupSpec")
    groups = [cluster.below("workerGroupSpecs", n) for n in range(len(cluster.sequence("workerGroupSpecs")))]
    version = cluster.at("rayVersion")
    return ClusterPlan(
        head=_group(head, "head", runtime, is_head=True),
        workers=[_group(group, group.at("groupName"), runtime, is_head=False) for group in groups],
        autoscales=cluster.at("enableInTreeAutoscaling") is True or any(group.at("replicas") for group in groups),
        remedies=_REMEDIES,
        lines={
            "environment": head.line(*_RAY, "env"),
            "setup": head.line(*_RAY, "image"),
            "autoscaler": cluster.line("enableInTreeAutoscaling"),
            "mounts": head.line(*_RAY, "env"),
        },
        ray_version=FileText(version, cluster.line("rayVersion")) if version else None,
        distributes_token=cluster.at("authOptions") is not None and cluster.at("authOptions", "mode") != "disabled",
        images_hide_gpus=False,
    )


def _group(group: Document, name: str, runtime: FileText, is_head: bool) -> NodeGroup:
    params, limits = group.mapping("rayStartParams"), group.mapping(*_RAY, "resources", "limits")
    pod, image = group.below("template", "spec"), group.at(*_RAY, "image")
    return NodeGroup(
        name=name,
        line=group.line("groupName") if not is_head else group.line(),
        is_head=is_head,
        n_cpus=_number(params.get("num-cpus", limits.get("cpu", math.inf))),
        n_gpus=_number(params.get("num-gpus", limits.get(_GPU, 0))),
        gpu=machines.selected_gpu(pod.mapping("nodeSelector")),
        most=group.at("maxReplicas"),
        least=group.at("minReplicas", default=0),
        is_spot=bool(_SPOT.search(str([pod.at("nodeSelector"), pod.at("tolerations"), pod.at("affinity")]))),
        image=FileText(image, group.line(*_RAY, "image")) if image else None,
        environment=_environment(group),
        setup=(runtime,) if runtime.text else (),
        shared_folders=tuple(_shared_folders(group, pod)),
        reaches_storage=True if pod.at("serviceAccountName") else None,
    )


def _environment(group: Document) -> Mapping[str, FileText]:
    """Environment variables by name; the value of one that refers to a Secret or the like is "$from"."""
    return {
        variable["name"]: FileText(
            str(variable.get("value") or ("$from" if variable.get("valueFrom") else "")),
            group.line(*_RAY, "env", index),
        )
        for index, variable in enumerate(group.sequence(*_RAY, "env"))
    }


def _shared_folders(group: Document, pod: Document) -> Iterator[str]:
    kinds = {volume.get("name"): set(volume) - {"name"} for volume in pod.sequence("volumes")}
    for mount in group.sequence(*_RAY, "volumeMounts"):
        if kinds.get(mount["name"], _NOT_SHARED) - _NOT_SHARED:
            yield mount["mountPath"]


def _number(quantity: Any) -> float:
    try:
        return float(quantity)
    except ValueError:  # 500m and the like
        return math.inf


def dashboard_stays_inside(cluster: Document) -> Iterator[Finding]:
    """dashboard-exposed: the head's service is reachable only inside Kubernetes and by `kubectl port-forward`."""
    service = ("headGroupSpec", "headService", "spec", "type")
    for path in (("headGroupSpec", "serviceType"), service, ("headGroupSpec", "enableIngress")):
        if cluster.at(*path) in ("LoadBalancer", "NodePort", True):
            yield Finding(
                "dashboard-exposed",
                cluster.line(*path),
                "the dashboard must not be reachable from outside Kubernetes",
                f"{path[-1]}: {str(cluster.at(*path)).lower() if path[-1] == 'enableIngress' else cluster.at(*path)}",
                "Use serviceType: ClusterIP and `kubectl port-forward service/NAME-head-svc 8265`.",
            )


def token_has_its_version(cluster: Document) -> Iterator[Finding]:
    """no-token: KubeRay distributes a token only if rayVersion is set."""
    if cluster.at("authOptions") is not None and not cluster.at("rayVersion"):
        must, remedy = "rayVersion must be set beside authOptions", f"Add rayVersion: {needed_ray()}.0."
        yield Finding("no-token", cluster.line("authOptions"), must, "none", remedy)


def pods_are_isolated(cluster: Document) -> Iterator[Finding]:
    """open-ports: Ray's ports open on pods' addresses only. privileged: no container is privileged."""
    groups = [cluster.below("headGroupSpec")]
    groups += [cluster.below("workerGroupSpecs", n) for n in range(len(cluster.sequence("workerGroupSpecs")))]
    for group in groups:
        if group.at("template", "spec", "hostNetwork") is True:
            line = group.line("template", "spec", "hostNetwork")
            must, remedy = "Ray's ports must not open on the nodes' addresses", "Remove it."
            yield Finding("open-ports", line, must, "hostNetwork: true", remedy)
        if group.at(*_RAY, "securityContext", "privileged") is True:
            line = group.line(*_RAY, "securityContext", "privileged")
            must, remedy = "the container must not control its node", "Remove it; GPUs work without it."
            yield Finding("privileged", line, must, "privileged: true", remedy)


def results_outlive_the_pod(document: Document, cluster: Document | None) -> Iterator[Finding]:
    """runs-lost: a job's entrypoint writes its results to shared storage."""
    entrypoint = document.at("spec", "entrypoint", default="")
    if not re.search(r"\bvgsearch (tune|train|confirm)\b", entrypoint):
        return
    match = re.search(r"--out[= ]\s*(\S+)", entrypoint)
    out = shlex.split(match[1])[0] if match else ""
    head = cluster.below("headGroupSpec") if cluster else None
    folders = _shared_folders(head, head.below("template", "spec")) if head else []
    if not REMOTE.match(out) and not any(out.startswith(folder) for folder in folders):
        yield Finding(
            "runs-lost",
            document.line("spec", "entrypoint"),
            "the entrypoint's --out must be on storage that outlives its pod",
            out or "no --out: a folder in the pod",
            "Add --out s3://..., gs://... or a folder on a mounted volume.",
        )


def jobs_end_their_cluster(document: Document, cluster: Document | None) -> Iterator[Finding]:
    """left-running, starts-over (notes): a finished job's cluster ends; a failed job does not start a new sweep."""
    spec = document.below("spec")
    if document.at("kind") != "RayJob" or cluster is None:
        return
    if spec.at("shutdownAfterJobFinishes") is not True and not spec.at("deletionStrategy"):
        line, must = (
            spec.line("shutdownAfterJobFinishes"),
            "shutdownAfterJobFinishes: true ends the cluster with its job",
        )
        yield Finding(
            "left-running",
            line,
            must,
            "no such setting: the cluster keeps running and costs money",
            "Set it.",
            is_note=True,
        )
    if spec.at("backoffLimit", default=0) > 0 and "vgsearch tune" in spec.at("entrypoint", default=""):
        must, came = (
            "`vgsearch tune` always starts a new sweep",
            f"backoffLimit: {spec.at('backoffLimit')}, which reruns it",
        )
        remedy = "Set backoffLimit: 0 and continue with `vgsearch resume`."
        yield Finding("starts-over", spec.line("backoffLimit"), must, came, remedy, is_note=True)

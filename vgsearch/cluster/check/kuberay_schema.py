"""The fields of KubeRay's RayJob and RayCluster (ray.io/v1, KubeRay 1.7), and of the pods in them.

Closed where the resource definitions are closed. What vgsearch does not depend on is any value.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, StrictBool, ValidationError

from vgsearch.cluster.check.document import Document
from vgsearch.cluster.check.finding import Finding
from vgsearch.cluster.check.known_settings import nearest
from videogan.config import Config

Count = Annotated[int, Field(ge=0, strict=True)]
Quantity = Annotated[int | float | str, Field(union_mode="left_to_right")]
Words = dict[str, Annotated[str, Field(strict=True)]]


class ResourceRequirements(Config):
    limits: dict[str, Quantity] = {}
    requests: dict[str, Quantity] = {}
    claims: Any = None


class EnvVar(Config):
    name: str
    value: Annotated[str, Field(strict=True)] | None = None
    valueFrom: Any = None


class VolumeMount(Config):
    name: str
    mountPath: str
    mountPropagation: Any = None
    readOnly: StrictBool | None = None
    recursiveReadOnly: Any = None
    subPath: str | None = None
    subPathExpr: str | None = None


class Container(Config):
    """A container of a pod; the first one of a Ray pod runs Ray."""

    name: str
    image: str | None = None
    env: list[EnvVar] = []
    resources: ResourceRequirements = ResourceRequirements()
    volumeMounts: list[VolumeMount] = []
    args: Any = None
    command: Any = None
    envFrom: Any = None
    imagePullPolicy: Literal["Always", "IfNotPresent", "Never"] | None = None
    lifecycle: Any = None
    livenessProbe: Any = None
    ports: Any = None
    readinessProbe: Any = None
    resizePolicy: Any = None
    restartPolicy: Any = None
    restartPolicyRules: Any = None
    securityContext: dict[str, Any] | None = None
    startupProbe: Any = None
    stdin: Any = None
    stdinOnce: Any = None
    terminationMessagePath: Any = None
    terminationMessagePolicy: Any = None
    tty: Any = None
    volumeDevices: Any = None
    workingDir: Any = None


class PodSpec(Config):
    containers: list[Container] = Field(min_length=1)
    initContainers: list[Container] = []
    volumes: list[dict[str, Any]] = []
    nodeSelector: Words = {}
    tolerations: list[dict[str, Any]] = []
    serviceAccountName: str | None = None
    hostNetwork: StrictBool | None = None
    activeDeadlineSeconds: Any = None
    affinity: Any = None
    automountServiceAccountToken: StrictBool | None = None
    dnsConfig: Any = None
    dnsPolicy: Any = None
    enableServiceLinks: Any = None
    ephemeralContainers: Any = None
    hostAliases: Any = None
    hostIPC: Any = None
    hostPID: Any = None
    hostUsers: Any = None
    hostname: Any = None
    hostnameOverride: Any = None
    imagePullSecrets: Any = None
    nodeName: Any = None
    os: Any = None
    overhead: Any = None
    preemptionPolicy: Any = None
    priority: Any = None
    priorityClassName: Any = None
    readinessGates: Any = None
    resourceClaims: Any = None
    resources: Any = None
    restartPolicy: Any = None
    runtimeClassName: Any = None
    schedulerName: Any = None
    schedulingGates: Any = None
    securityContext: Any = None
    serviceAccount: Any = None
    setHostnameAsFQDN: Any = None
    shareProcessNamespace: Any = None
    subdomain: Any = None
    terminationGracePeriodSeconds: Any = None
    topologySpreadConstraints: Any = None


class PodTemplate(Config):
    metadata: Any = None
    spec: PodSpec


class HeadGroup(Config):
    template: PodTemplate
    rayStartParams: Words = {}
    serviceType: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] | None = None
    headService: dict[str, Any] | None = None
    enableIngress: StrictBool | None = None
    ingressOptions: Any = None
    resources: Words = {}
    labels: Words = {}


class WorkerGroup(Config):
    groupName: str
    template: PodTemplate
    rayStartParams: Words = {}
    replicas: Count | None = None
    minReplicas: Count | None = None
    maxReplicas: Count | None = None
    numOfHosts: Count | None = None
    idleTimeoutSeconds: Count | None = None
    priority: int | None = None
    resources: Words = {}
    labels: Words = {}
    scaleStrategy: Any = None
    suspend: StrictBool | None = None


class AutoscalerOptions(Config):
    idleTimeoutSeconds: Count | None = None
    upscalingMode: Literal["Default", "Aggressive", "Conservative"] | None = None
    version: Literal["v1", "v2"] | None = None
    image: str | None = None
    imagePullPolicy: Any = None
    resources: ResourceRequirements | None = None
    securityContext: Any = None
    env: list[EnvVar] = []
    envFrom: Any = None
    volumeMounts: list[VolumeMount] = []
    command: Any = None
    args: Any = None


class AuthOptions(Config):
    mode: Literal["disabled", "token"] | None = None
    secretName: str | None = None
    enableK8sTokenAuth: StrictBool | None = None


class RayClusterSpec(Config):
    headGroupSpec: HeadGroup
    workerGroupSpecs: list[WorkerGroup] = []
    rayVersion: Annotated[str, Field(strict=True)] | None = None
    authOptions: AuthOptions | None = None
    enableInTreeAutoscaling: StrictBool | None = None
    autoscalerOptions: AutoscalerOptions | None = None
    headServiceAnnotations: Words = {}
    gcsFaultToleranceOptions: Any = None
    historyServerOptions: Any = None
    managedBy: Any = None
    networkPolicy: Any = None
    suspend: StrictBool | None = None
    tlsOptions: Any = None
    upgradeStrategy: Any = None


class RayJobSpec(Config):
    entrypoint: str | None = None
    rayClusterSpec: RayClusterSpec | None = None
    clusterSelector: Words = {}
    submissionMode: Literal["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"] | None = None
    shutdownAfterJobFinishes: StrictBool | None = None
    ttlSecondsAfterFinished: Count | None = None
    activeDeadlineSeconds: Count | None = None
    preRunningDeadlineSeconds: Count | None = None
    backoffLimit: Count | None = None
    runtimeEnvYAML: Annotated[str, Field(strict=True)] | None = None
    metadata: Words = {}
    jobId: str | None = None
    submitterPodTemplate: PodTemplate | None = None
    submitterConfig: Any = None
    deletionStrategy: Any = None
    managedBy: Any = None
    suspend: StrictBool | None = None
    entrypointNumCpus: float | None = None
    entrypointNumGpus: float | None = None
    entrypointResources: Annotated[str, Field(strict=True)] | None = None


class RayJob(Config):
    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayJob"]
    metadata: dict[str, Any]
    spec: RayJobSpec
    status: Any = None


class RayCluster(Config):
    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayCluster"]
    metadata: dict[str, Any]
    spec: RayClusterSpec
    status: Any = None


KINDS: dict[str, type[Config]] = {"RayJob": RayJob, "RayCluster": RayCluster}


def fields_are_those_of_kuberay(document: Document) -> Iterator[Finding]:
    """schema, unknown-key: Kubernetes will take the object, and KubeRay read all of it."""
    kind = KINDS[document.at("kind")]
    try:
        kind.model_validate(document.values)
    except ValidationError as error:
        for problem in error.errors():
            path = [part for part in problem["loc"] if part in ("", *_written(problem["loc"], document))]
            place = ".".join(map(str, path[:-1])) or document.at("kind")
            if problem["type"] == "extra_forbidden":
                must, remedy = f"settings under {place} must be known", nearest(str(path[-1]), _known(kind, path[:-1]))
                yield Finding("unknown-key", document.line(*path), must, f"'{path[-1]}'", remedy)
            elif problem["type"] == "missing":
                must = f"{'.'.join(map(str, problem['loc']))} must be there"
                yield Finding("schema", document.line(*problem["loc"]), must, "nothing", "Add it.")
            else:
                must = f"{'.'.join(map(str, path))}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
                came, remedy = (
                    f"{problem['input']!r}",
                    "Write it as KubeRay's reference says; numbers in words are quoted.",
                )
                yield Finding("schema", document.line(*path), must, came, remedy)


def _written(loc: tuple[str | int, ...], document: Document) -> list[str | int]:
    """The parts of a validator's place that stand in the file; others name a member of a union."""
    written, value = [], document.values
    for part in loc:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            continue
        written.append(part)
    return written


def _known(kind: type[Config], path: list[str | int]) -> list[str]:
    """The names of the fields at a place."""
    for part in path:
        if isinstance(part, str):
            kind = next(_configs(kind.model_fields[part].annotation), kind)
    return sorted(kind.model_fields)


def _configs(annotation: Any) -> Iterator[type[Config]]:
    if isinstance(annotation, type) and issubclass(annotation, Config):
        yield annotation
    for nested in get_args(annotation):
        yield from _configs(nested)

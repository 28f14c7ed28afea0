"""What a machine's node_config says: GPUs, spot or on demand, cloud credentials."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from videogan.training.gpus import GPU, GPUS

# EC2 families with NVIDIA GPUs; g4ad has AMD GPUs.
_EC2_GPUS = re.compile(r"(p\d|g[2-9]|gr\d)")
_EC2_OTHERS = ("g4ad",)
# Compute Engine families with built-in GPUs; others get them by guestAccelerators.
_GCE_GPUS = re.compile(r"(.*/)?(a2|a3|a4|a4x|g2|g4)-")


def n_gpus(provider: str, node: Mapping[str, Any]) -> float | None:
    """1 for a machine with GPUs, 0 without; None if unknown."""
    if provider == "gcp":
        return 1 if has_gpus(node) else 0
    kind = node.get("InstanceType")
    if provider != "aws" or not isinstance(kind, str) or kind.startswith("FILL_"):
        return None
    return 1 if _EC2_GPUS.match(kind) and not kind.startswith(_EC2_OTHERS) else 0


_EC2_KINDS = {
    "g4dn": "T4", "g5": "A10G", "g6": "L4", "gr6": "L4", "g6e": "L40S", "p3": "V100", "p3dn": "V100-32GB",
    "p4d": "A100-40GB", "p4de": "A100-80GB", "p5": "H100", "p5e": "H200", "p5en": "H200",
}  # fmt: skip
_GCE_KINDS = {
    "g2-": "L4", "a2-highgpu-": "A100-40GB", "a2-megagpu-": "A100-40GB", "a2-ultragpu-": "A100-80GB",
    "a3-highgpu-": "H100", "a3-megagpu-": "H100", "a3-edgegpu-": "H100", "a3-ultragpu-": "H200",
}  # fmt: skip
_ACCELERATORS = {
    "nvidia-tesla-t4": "T4", "nvidia-tesla-v100": "V100", "nvidia-l4": "L4", "nvidia-tesla-a100": "A100-40GB",
    "nvidia-a100-80gb": "A100-80GB", "nvidia-h100-80gb": "H100", "nvidia-h100-mega-80gb": "H100",
    "nvidia-h200-141gb": "H200",
}  # fmt: skip
"""Google's names of accelerators, in guestAccelerators and in GKE's node labels."""
_PRODUCTS = {
    "Tesla-T4": "T4", "NVIDIA-A10G": "A10G", "NVIDIA-L4": "L4", "NVIDIA-L40S": "L40S",
    "NVIDIA-A100-SXM4-40GB": "A100-40GB", "NVIDIA-A100-PCIE-40GB": "A100-40GB", "NVIDIA-A100-SXM4-80GB": "A100-80GB",
    "NVIDIA-A100-80GB-PCIe": "A100-80GB", "NVIDIA-H100-80GB-HBM3": "H100", "NVIDIA-H200": "H200",
}  # fmt: skip
"""Names in the node label of NVIDIA's GPU feature discovery."""


def gpu(provider: str, node: Mapping[str, Any]) -> GPU | None:
    """The kind of GPU of a machine; None if it has none or it is not known."""
    if provider == "aws":
        return _named(_EC2_KINDS.get(str(node.get("InstanceType", "")).partition(".")[0]))
    for accelerator in node.get("guestAccelerators") or ():
        kind = accelerator.get("acceleratorType", "") if isinstance(accelerator, Mapping) else ""
        return _named(_ACCELERATORS.get(str(kind).rpartition("/")[2]))
    machine = str(node.get("machineType", "")).rpartition("/")[2]
    return _named(next((kind for start, kind in _GCE_KINDS.items() if machine.startswith(start)), None))


def selected_gpu(labels: Mapping[str, Any]) -> GPU | None:
    """The kind of GPU of Kubernetes nodes with these labels; None if they do not say it."""
    machine = str(labels.get("node.kubernetes.io/instance-type", ""))
    return (
        _named(_ACCELERATORS.get(str(labels.get("cloud.google.com/gke-accelerator"))))
        or _named(_PRODUCTS.get(str(labels.get("nvidia.com/gpu.product"))))
        or gpu("aws", {"InstanceType": machine})
        or gpu("gcp", {"machineType": machine})
    )


def _named(kind: str | None) -> GPU | None:
    return None if kind is None else GPUS[kind]


def has_gpus(node: Mapping[str, Any]) -> bool:
    """Whether a Compute Engine machine has GPUs."""
    return bool(node.get("guestAccelerators")) or bool(_GCE_GPUS.match(str(node.get("machineType", ""))))


def scheduling(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The scheduling settings of a Compute Engine machine; Ray's examples write them as a list of one mapping."""
    given = node.get("scheduling")
    if isinstance(given, Sequence) and not isinstance(given, str):
        return {key: value for part in given if isinstance(part, Mapping) for key, value in part.items()}
    return given if isinstance(given, Mapping) else {}


def is_spot(provider: str, node: Mapping[str, Any]) -> bool:
    """Whether the machine is a spot (or preemptible) one."""
    if provider == "aws":
        market = node.get("InstanceMarketOptions")
        return isinstance(market, Mapping) and market.get("MarketType") == "spot"
    settings = scheduling(node)
    return settings.get("preemptible") is True or settings.get("provisioningModel") == "SPOT"


def has_identity(provider: str, node: Mapping[str, Any]) -> bool | None:
    """Whether the machine has cloud credentials; None if a template may give them."""
    if provider == "aws":
        return True if node.get("IamInstanceProfile") else None if node.get("LaunchTemplate") else False
    if provider == "gcp":
        return True if node.get("serviceAccounts") else None if node.get("sourceInstanceTemplate") else False
    return None

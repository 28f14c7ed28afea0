"""What the node_config of a cloud's machine brings: GPUs, a spot price, an identity."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

# Families of EC2 whose machines have NVIDIA GPUs; g4ad has AMD's.
_EC2_GPUS = re.compile(r"(p\d|g[2-9]|gr\d)")
_EC2_OTHERS = ("g4ad",)
# Families of Compute Engine whose machines bring their GPUs along; others get them by guestAccelerators.
_GCE_GPUS = re.compile(r"(.*/)?(a2|a3|a4|a4x|g2|g4)-")


def n_gpus(provider: str, node: Mapping[str, Any]) -> float | None:
    """GPUs of such a machine: at least 1, or 0; None where it can't be told."""
    if provider == "gcp":
        return 1 if brings_gpus(node) else 0
    kind = node.get("InstanceType")
    if provider != "aws" or not isinstance(kind, str) or kind.startswith("FILL_"):
        return None
    return 1 if _EC2_GPUS.match(kind) and not kind.startswith(_EC2_OTHERS) else 0


def brings_gpus(node: Mapping[str, Any]) -> bool:
    """Whether a machine of Compute Engine has GPUs."""
    return bool(node.get("guestAccelerators")) or bool(_GCE_GPUS.match(str(node.get("machineType", ""))))


def scheduling(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """How Compute Engine may treat the machine; Ray's examples write it as a list of one."""
    given = node.get("scheduling")
    if isinstance(given, Sequence) and not isinstance(given, str):
        return {key: value for part in given if isinstance(part, Mapping) for key, value in part.items()}
    return given if isinstance(given, Mapping) else {}


def is_spot(provider: str, node: Mapping[str, Any]) -> bool:
    """Whether the machine may be taken away at any time."""
    if provider == "aws":
        market = node.get("InstanceMarketOptions")
        return isinstance(market, Mapping) and market.get("MarketType") == "spot"
    asked = scheduling(node)
    return asked.get("preemptible") is True or asked.get("provisioningModel") == "SPOT"


def has_identity(provider: str, node: Mapping[str, Any]) -> bool | None:
    """Whether object stores will know the machine; None where a template may say so."""
    if provider == "aws":
        return True if node.get("IamInstanceProfile") else None if node.get("LaunchTemplate") else False
    if provider == "gcp":
        return True if node.get("serviceAccounts") else None if node.get("sourceInstanceTemplate") else False
    return None

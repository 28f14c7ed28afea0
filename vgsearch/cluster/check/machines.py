"""What a machine's node_config says: GPUs, spot or on demand, cloud credentials."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

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

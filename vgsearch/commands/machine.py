"""What a machine needs to run a sweep, checked one by one."""

import importlib.metadata
import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LEAST_FREE_DISK_GB = 2
LEAST_SHARED_MEMORY_GB = 1
RAY_PORTS = {6379: "Ray's head node", 8265: "dashboard and jobs", 10001: "Ray Client"}


@dataclass(frozen=True)
class MachineCheck:
    """One check: what was looked at, what was found, and whether a failure keeps sweeps from running."""

    what: str
    ok: bool
    told: str
    blocks: bool = True


def diagnose() -> list[MachineCheck]:
    """All findings, in the order in which a sweep would meet them."""
    checks: tuple[Callable[[], MachineCheck], ...] = (
        _python,
        _torch,
        _ray,
        _codecs,
        _gpu,
        _cpus,
        _disk,
        _shared_memory,
        _ports,
        _token,
    )
    return [check() for check in checks]


def _python() -> MachineCheck:
    version = ".".join(map(str, sys.version_info[:3]))
    return MachineCheck("python", sys.version_info >= (3, 11), f"{version} (3.11 or newer is needed)")


def _torch() -> MachineCheck:
    import torch

    return MachineCheck(
        "torch", True, f"{torch.__version__}, bf16 {'native' if _has_native_bf16() else 'emulated (slow)'} on the CPU"
    )


def _has_native_bf16() -> bool:
    import torch

    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _ray() -> MachineCheck:
    version = importlib.metadata.version("ray")
    if importlib.util.find_spec("aiohttp") is None:
        return MachineCheck(
            "ray", False, f"{version} without its dashboard; pip install 'ray[default,tune,train,data]=={version}'"
        )
    return MachineCheck("ray", version.startswith("2.60."), f"{version} (2.60.* is needed)")


def _codecs() -> MachineCheck:
    import av

    missing = [name for name in ("h264", "mpeg4", "mjpeg", "vp9", "hevc") if name not in av.codecs_available]
    return MachineCheck(
        "video", not missing, f"PyAV {av.__version__}" + (f" lacks {', '.join(missing)}" if missing else "")
    )


def _gpu() -> MachineCheck:
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    told = ", ".join(names) if names else "none: budgets smoke and laptop are made for CPUs, paper is not"
    return MachineCheck("gpu", bool(names), told, blocks=False)


def _cpus() -> MachineCheck:
    n_cpus = os.cpu_count() or 1
    return MachineCheck("cpu", True, f"{n_cpus} cores: {n_cpus} trials of one thread side by side")


def _disk() -> MachineCheck:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    return MachineCheck(
        "disk", free >= LEAST_FREE_DISK_GB, f"{free:.0f} GB free here ({LEAST_FREE_DISK_GB} are needed)"
    )


def _shared_memory() -> MachineCheck:
    folder = Path("/dev/shm")
    if not folder.exists():
        return MachineCheck("memory", True, "no /dev/shm; Ray uses the disk for objects")
    free = shutil.disk_usage(folder).free / 1e9
    return MachineCheck(
        "memory", free >= LEAST_SHARED_MEMORY_GB, f"{free:.0f} GB of shared memory ({LEAST_SHARED_MEMORY_GB} is needed)"
    )


def _ports() -> MachineCheck:
    """A sweep on a Ray of its own takes free ports; a head node and its dashboard want theirs."""
    if not _can_listen(0):
        return MachineCheck(
            "ports", False, "nothing can listen on 127.0.0.1, as Ray must; look at sandboxes and firewalls"
        )
    taken = [f"{port} ({use})" for port, use in RAY_PORTS.items() if not _can_listen(port)]
    if not taken:
        return MachineCheck(
            "ports", True, f"127.0.0.1 listens; {', '.join(map(str, RAY_PORTS))} are free for `ray start`"
        )
    told = (
        f"{', '.join(taken)} taken, by another Ray perhaps: a sweep takes other ports, `ray start --head` needs these"
    )
    return MachineCheck("ports", False, told, blocks=False)


def _can_listen(port: int) -> bool:
    """Whether a socket can listen on loopback at `port`; 0 is any free one."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(1)
        except OSError:
            return False
    return True


def _token() -> MachineCheck:
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))
    if os.environ.get("RAY_AUTH_MODE", "token") != "token":
        return MachineCheck(
            "token", False, "RAY_AUTH_MODE is not 'token': anyone who reaches Ray's ports runs code here", blocks=False
        )
    there = "RAY_AUTH_TOKEN" in os.environ or path.exists()
    return MachineCheck("token", True, f"{path}" if there else "none yet; Ray makes one at the first start")

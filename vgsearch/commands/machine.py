"""Checks of what a machine needs to run a sweep."""

import importlib.metadata
import importlib.util
import os
import shlex
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vgsearch.runtime.cluster import token

METRICS = "RAY_enable_metrics_collection"
LEAST_FREE_DISK_GB = 2
LEAST_SHARED_MEMORY_GB = 1
RAY_PORTS = {6379: "Ray's head node", 8265: "dashboard and jobs", 10001: "Ray Client"}


@dataclass(frozen=True)
class MachineCheck:
    """One check: its subject, its finding, and whether a failure keeps sweeps from running."""

    what: str
    ok: bool
    finding: str
    blocks: bool = True

    def record(self) -> dict[str, str | bool]:
        """The check under the keys of `doctor --json`."""
        return {"what": self.what, "ok": self.ok, "told": self.finding, "blocks": self.blocks}


def diagnose() -> list[MachineCheck]:
    """Run all checks, in the order in which a sweep depends on them."""
    checks: tuple[Callable[[], MachineCheck], ...] = (
        _python,
        _torch,
        _ray,
        _codecs,
        _gpu,
        _cpus,
        _disk,
        _shared_memory,
        _temporary,
        _ports,
        _token,
        _reachable,
    )
    return [check() for check in checks]


def _python() -> MachineCheck:
    version = ".".join(map(str, sys.version_info[:3]))
    return MachineCheck("python", sys.version_info >= (3, 11), f"{version} (3.11 or newer needed)")


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
    return MachineCheck("ray", version.startswith("2.60."), f"{version} (2.60.* needed)")


def _codecs() -> MachineCheck:
    import av

    missing = [name for name in ("h264", "mpeg4", "mjpeg", "vp9", "hevc") if name not in av.codecs_available]
    return MachineCheck(
        "video", not missing, f"PyAV {av.__version__}" + (f" lacks {', '.join(missing)}" if missing else "")
    )


def _gpu() -> MachineCheck:
    from vgsearch.runtime.cluster.gpus import gpu_report

    report = gpu_report()
    if not report.usable and not report.installed:
        finding = "none: budgets smoke and laptop are made for CPUs, paper is not"
    else:
        finding = f"{report}: {report.problem}" if report.problem else str(report)
    return MachineCheck("gpu", bool(report.usable) and not report.problem, finding, blocks=False)


def _cpus() -> MachineCheck:
    from vgsearch.runtime.cluster.cpus import usable_cpus

    n_cpus, whole = usable_cpus(), os.cpu_count() or 1
    why = " by affinity or quota" if n_cpus < whole else ""
    return MachineCheck(
        "cpu", True, f"{n_cpus} of {whole} cores{why}: as many trials of one thread each run in parallel"
    )


def _disk() -> MachineCheck:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    return MachineCheck(
        "disk", free >= LEAST_FREE_DISK_GB, f"{free:.0f} GB free in this folder ({LEAST_FREE_DISK_GB} GB needed)"
    )


def _shared_memory() -> MachineCheck:
    folder = Path("/dev/shm")
    if not folder.exists():
        return MachineCheck("memory", True, "no /dev/shm; Ray uses the disk for objects")
    free = shutil.disk_usage(folder).free / 1e9
    if free < LEAST_SHARED_MEMORY_GB:
        finding = f"{free:.1f} GB of shared memory: Ray keeps objects on the disk instead; docker run --shm-size=2g"
        return MachineCheck("memory", False, finding, blocks=False)
    return MachineCheck("memory", True, f"{free:.0f} GB of shared memory")


def _temporary() -> MachineCheck:
    """Whether Ray can put its files and sockets into the folder of temporary files."""
    from vgsearch.runtime.cluster.temporary import temporary_folder, unusable_folder

    problem = unusable_folder()
    return MachineCheck("temp", not problem, problem or f"{temporary_folder()} takes Ray's files and sockets")


def _ports() -> MachineCheck:
    """Whether the ports are free: a local cluster uses any free ports, a head node and its dashboard fixed ones."""
    if not _can_listen(0):
        return MachineCheck(
            "ports", False, "no program can listen on 127.0.0.1, as Ray must; check sandboxes and firewalls"
        )
    taken = [f"{port} ({use})" for port, use in RAY_PORTS.items() if not _can_listen(port)]
    if not taken:
        return MachineCheck("ports", True, f"{', '.join(map(str, RAY_PORTS))} are free for `ray start`")
    finding = f"{', '.join(taken)} in use, perhaps by Ray: a sweep takes other ports, `ray start --head` needs these"
    return MachineCheck("ports", False, finding, blocks=False)


def _can_listen(port: int) -> bool:
    """Whether a program can listen on loopback at `port`; 0 is any free port."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(1)
        except OSError:
            return False
    return True


def _token() -> MachineCheck:
    if not token.is_required():
        finding = f"{token.MODE} is not 'token': anyone who reaches Ray's ports can run code here"
        return MachineCheck("token", False, finding, blocks=False)
    if os.environ.get(token.TOKEN):
        return MachineCheck("token", True, f"in {token.TOKEN}")
    file = token.token_file()
    try:
        is_open = token.others_may_read(file)
    except FileNotFoundError:
        return MachineCheck("token", True, "none yet; the first start of Ray creates one")
    except OSError as error:
        finding = f"{file}: {error.strerror}; name a readable file in {token.TOKEN_FILE}"
        return MachineCheck("token", False, finding)
    if is_open:
        finding = f"other users may read {file}, and with it run code as you: chmod 600 {shlex.quote(str(file))}"
        return MachineCheck("token", False, finding, blocks=False)
    return MachineCheck("token", True, f"{file}, readable by you only")


def _reachable() -> MachineCheck:
    """What other machines can reach while a Ray runs."""
    asks = "asks for the token and encrypts nothing" if token.is_required() else "asks for no token"
    has_metrics = os.environ.get(METRICS, "0").lower() not in ("0", "false")
    metrics = f"; its metrics port asks for none ({METRICS})" if has_metrics else ""
    finding = f"a local Ray listens on 127.0.0.1 only, a cluster on all interfaces: it {asks}{metrics}; keep a firewall"
    return MachineCheck("network", token.is_required() and not has_metrics, finding, blocks=False)

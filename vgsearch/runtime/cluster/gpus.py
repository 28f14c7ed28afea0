"""Whether PyTorch can use the GPUs of a machine, and if not, why and what to do: for `doctor`, and for each node."""

import shutil
import subprocess
from dataclasses import dataclass

import torch

from vgsearch.terminal.words import size

QUERY = ("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
SECONDS_OF_A_QUERY = 20


@dataclass(frozen=True)
class UsableGpu:
    """A GPU as PyTorch sees it."""

    name: str
    memory_bytes: int
    capability: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.name} ({size(self.memory_bytes)})"


@dataclass(frozen=True)
class GpuReport:
    """What PyTorch and the driver of one machine say of its GPUs."""

    torch: str
    """Its version with the suffix of its build, e.g. 2.13.0+cpu."""
    platform: str
    """What this build computes on, e.g. CUDA 12.8; empty for CPUs only."""
    architectures: tuple[str, ...]
    """The compute capabilities that the build has code for, e.g. sm_90."""
    usable: tuple[UsableGpu, ...] = ()
    error: str = ""
    """Why PyTorch can use none, in its own words."""
    driver: str = ""
    """The driver's version; empty without nvidia-smi."""
    installed: tuple[str, ...] = ()
    """Name and memory of each GPU by the driver."""

    @property
    def problem(self) -> str:
        """Why PyTorch can't use a GPU that the machine has, and the remedy; empty if it can."""
        if self.usable:
            return next(filter(None, map(self._unsupported, self.usable)), "")
        if not self.platform:
            return (
                f"torch {self.torch} is built for CPUs only; install its CUDA build, on Linux "
                f"pip install --force-reinstall torch=={self.torch.partition('+')[0]}"
            )
        if not self.driver:
            return (
                f"torch {self.torch} ({self.platform}) finds no driver ({self.error}); install the NVIDIA driver, or "
                "start the container with --gpus all"
            )
        return (
            f"torch {self.torch} ({self.platform}) can't use driver {self.driver} ({self.error}); update the driver, or "
            "install torch for an older CUDA"
        )

    def _unsupported(self, gpu: UsableGpu) -> str:
        """That this build has no code for a GPU: code of a capability also runs on later ones of its generation."""
        major, minor = gpu.capability
        compiled = [name.rpartition("_")[2].rstrip("af") for name in self.architectures if name.startswith("sm_")]
        fits = any(int(number[:-1]) == major and int(number[-1]) <= minor for number in compiled)
        # Intermediate code, which the driver compiles, runs on every higher capability.
        general = [name.rpartition("_")[2] for name in self.architectures if name.startswith("compute_")]
        if fits or not compiled or any(int(number) <= 10 * major + minor for number in general if number.isdigit()):
            return ""
        return (
            f"torch {self.torch} has no code for {gpu.name} (compute capability {major}.{minor}; it has "
            f"{', '.join(self.architectures)}); install a build that has"
        )

    def __str__(self) -> str:
        gpus = ", ".join(map(str, self.usable)) or ", ".join(self.installed)
        return f"{gpus}, driver {self.driver}" if self.driver else gpus


def gpu_report() -> GpuReport:
    """The report of this process's machine; it sees the GPUs that CUDA_VISIBLE_DEVICES leaves."""
    version, error = torch.version, ""
    platform = f"CUDA {version.cuda}" if version.cuda else f"ROCm {version.hip}" if version.hip else ""
    try:
        torch.cuda.init()
    except (AssertionError, RuntimeError) as raised:
        error = next(iter(str(raised).splitlines()), type(raised).__name__).rstrip(".")
    rows = [row.split(", ") for row in _asked_driver().splitlines() if row.count(", ") == 2]
    return GpuReport(
        torch=torch.__version__,
        platform=platform,
        architectures=() if error else tuple(torch.cuda.get_arch_list()),
        usable=() if error else tuple(map(_usable, range(torch.cuda.device_count()))),
        error=error,
        driver=rows[0][2] if rows else "",
        installed=tuple(f"{name} ({memory})" for name, memory, _ in rows),
    )


def _usable(number: int) -> UsableGpu:
    found = torch.cuda.get_device_properties(number)
    return UsableGpu(found.name, found.total_memory, (found.major, found.minor))


def _asked_driver() -> str:
    """What nvidia-smi, which comes with each driver, says of the GPUs; empty without it, or if it fails."""
    if shutil.which(QUERY[0]) is None:
        return ""
    try:
        return subprocess.run(QUERY, capture_output=True, text=True, timeout=SECONDS_OF_A_QUERY, check=True).stdout
    except (subprocess.SubprocessError, OSError):
        return ""

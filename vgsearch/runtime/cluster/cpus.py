"""The CPUs that this process may use, which are fewer than the machine's under taskset, Slurm or a container."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def usable_cpus(cgroup: Path = CGROUP) -> int:
    """The CPUs of this process's affinity, at most those of its container's quota; at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.floor(min(affinity, _quota(cgroup))))


def _quota(cgroup: Path) -> float:
    """The CPUs of a control group's quota, version 2 or 1; infinite without one."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((cgroup / name).read_text("utf-8") for name in names).split()
            return int(quota) / int(period) if int(quota) > 0 else math.inf
        except (OSError, ValueError):  # another version of control groups, or "max"
            continue
    return math.inf

"""Hosts of a drill: network namespaces on a bridge, of which this machine has the first address."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="needs root and iproute2, for network namespaces"
)
SUBNET, BRIDGE = "10.77.0", "vgsearch0"


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def bridge() -> Iterator[None]:
    """The bridge that hosts are connected to, while it is used."""
    ip("link", "add", BRIDGE, "type", "bridge")
    try:
        ip("addr", "add", f"{SUBNET}.1/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        yield
    finally:
        ip("link", "del", BRIDGE)


class Namespace:
    """A network namespace on the bridge, with its own loopback; its processes end with it."""

    def __init__(self, number: int) -> None:
        self.address, self.name = f"{SUBNET}.{number}", f"vgsearch-{number}"
        ip("netns", "add", self.name)
        try:
            self._connect(f"vgs{number}")
        except BaseException:
            Namespace.remove(self)
            raise

    def _connect(self, end: str) -> None:
        """Put one end of a cable into the namespace, the other into the bridge."""
        ip("link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("link", "set", end, "master", BRIDGE, "up")
        for command in (
            ("addr", "add", f"{self.address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
            # No packet takes it: Ray finds a node's own address by its way to the internet.
            ("route", "add", "default", "via", f"{SUBNET}.1"),
        ):
            ip("-n", self.name, *command)

    def power_off(self) -> None:
        """Kill all processes of the host."""
        pids = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True).stdout.split()
        for pid in map(int, pids):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def remove(self) -> None:
        self.power_off()
        ip("netns", "del", self.name)

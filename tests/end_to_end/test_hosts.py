"""Hosts with their own addresses, files and tokens, started by `ray start`, and a laptop that submits to them."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.end_to_end.machine import BY_DISTANCE, TINY, Machine
from tests.end_to_end.namespaces import SUBNET, Namespace, bridge, needs_namespaces
from vgsearch.experiment.ledger import read_ledger
from vgsearch.experiment.paths import Experiment
from videogan.data.synthetic import make_moving_shapes
from videogan.storage.places import place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), needs_namespaces]
FILES = Path("/tmp/vgsearch-host")
"""The path of each host's own disk, which no other host sees."""
BIN = Path(sys.executable).parent


class Host(Namespace):
    """A host on which Ray is started by hand."""

    def ray_start(self, *arguments: str, token: str | None, bucket: str) -> subprocess.CompletedProcess[str]:
        """Runs `ray start` with its own disk and the token in its user's home."""
        written = f"mkdir -p {FILES}/home/.ray && echo {token} > {FILES}/home/.ray/auth_token &&" if token else ""
        prepare = f"mount -t tmpfs none {FILES} && mkdir -p {FILES}/home && {written} cd {FILES}"
        ray = f"exec {BIN}/python -m ray.scripts.scripts start --disable-usage-stats --temp-dir {FILES}/ray $0 $@"
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "HOME": f"{FILES}/home", "XDG_CACHE_HOME": f"{FILES}/cache", "VGSEARCH_CACHE": f"{bucket}/cache",
            "PATH": f"{BIN}:{os.environ['PATH']}", "RAY_AUTH_MODE": "token", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        command = ["ip", "netns", "exec", self.name, "unshare", "-m", "sh", "-c", f"{prepare} && {ray}", *arguments]
        # Into a file: the daemons that stay would hold a pipe open for ever.
        with open(f"{FILES}-{self.name}.log", "w+") as log:
            done = subprocess.run(command, env=environment, stdout=log, stderr=subprocess.STDOUT, timeout=180)
            log.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, log.read())

    def remove(self) -> None:
        super().remove()
        Path(f"{FILES}-{self.name}.log").unlink(missing_ok=True)


@pytest.fixture
def network() -> Iterator[Callable[[int], Host]]:
    """Makes hosts on a bridge that this machine, the laptop, has the first address of."""
    FILES.mkdir(exist_ok=True)
    hosts: list[Host] = []

    def host(number: int) -> Host:
        hosts.append(Host(number))
        return hosts[-1]

    with bridge():
        try:
            yield host
        finally:
            for made in hosts:
                made.remove()


def test_only_hosts_with_the_token_join_and_a_submitted_sweep_needs_no_laptop(
    network: Callable[[int], Host],
    s3_bucket_at: Callable[[str], AbstractContextManager[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    head, first, second, intruder = (network(number) for number in (2, 3, 4, 5))
    token = secrets.token_hex(32)
    with s3_bucket_at(f"{SUBNET}.1") as bucket:
        dashboard = ["--dashboard-host", head.address, "--include-dashboard", "true"]
        started = head.ray_start(
            "--head", "--node-ip-address", head.address, "--num-cpus", "0", *dashboard, token=token, bucket=bucket
        )
        assert started.returncode == 0, started.stdout
        join = ["--address", f"{head.address}:6379", "--num-cpus", "1"]
        for wrong in (None, secrets.token_hex(32)):
            refused = intruder.ray_start(*join, "--node-ip-address", intruder.address, token=wrong, bucket=bucket)
            assert refused.returncode != 0, f"joined with {wrong and 'another'} token: {refused.stdout}"
            assert "auth" in refused.stdout.lower() or "token" in refused.stdout.lower(), refused.stdout
        for worker in (first, second):
            joined = worker.ray_start(*join, "--node-ip-address", worker.address, token=token, bucket=bucket)
            assert joined.returncode == 0, joined.stdout
        made = make_moving_shapes(tmp_path / "shapes", n_clips_each=1, n_groups=16)
        for path in [*made.usable["path"].to_pylist(), "manifest.parquet"]:
            (place(bucket) / "shapes" / path).put((made.folder / path).read_bytes())

        laptop, address = Machine(tmp_path / "laptop", bucket), f"{bucket}/runs/s"
        url = f"http://{head.address}:8265"
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        steps = ["--set", "loop.n_steps=40", "--set", "loop.look_every=5"]
        search = ["--data", f"{bucket}/shapes", "--out", f"{bucket}/runs", "--name", "s", "--trials", "3"]
        command = ["submit", "mvt_tsa", "--address", url, *search, *TINY, *steps, *BY_DISTANCE]
        monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        assert "token" in laptop.run(*command, code=1).lower()
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
        submitted = laptop.start(*command)
        deadline = time.monotonic() + 600
        while "look" not in laptop.log("submit"):
            assert submitted.poll() is None, laptop.log("submit")
            assert time.monotonic() < deadline, laptop.log("submit")
            time.sleep(0.5)
        os.killpg(submitted.pid, signal.SIGKILL)  # the lid is closed
        first.power_off()
        while not (record := read_ledger(Experiment.at(address).events)).ended:
            assert time.monotonic() < deadline + 600, laptop.log("submit")
            time.sleep(1)
        assert {trial.state for trial in record.trials.values()} <= {"done", "pruned"}
        assert record.best is not None
        assert record.best.trial_id[:5] in laptop.run("status", address)
        # Resumed from the laptop and watched to its end.
        output = laptop.run("submit", address, "--address", url, "--trials", "+1", timeout=600)
        assert "4 trials: " in output, output
        assert "best    kvd" in output

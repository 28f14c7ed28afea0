"""Sweeps on several nodes with files of their own, over an S3 server: nodes die, are drained, join."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.util.placement_group import placement_group_table

from tests.end_to_end.machine import BY_DISTANCE, TINY, Machine
from tests.s3_server import Holding
from vgsearch.experiment.ledger import SweepRecord, read_ledger
from vgsearch.experiment.paths import Experiment
from videogan.data.synthetic import make_moving_shapes
from videogan.storage.places import place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


class Nodes:
    """A head without trials, and nodes of one CPU that share only the bucket; `timeline` records what happened when."""

    def __init__(self, folder: Path, bucket: str) -> None:
        self.folder, self.bucket = folder, bucket
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        head = {"num_cpus": 0, "include_dashboard": True, "dashboard_port": port}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address = self.cluster.address
        self.nodes: dict[str, Any] = {}
        self.began, self.timeline = time.time(), []

    def note(self, what: str, at: float | None = None) -> None:
        self.timeline.append(((at or time.time()) - self.began, what))

    def add(self, name: str) -> None:
        scratch = self.folder / name
        scratch.mkdir()
        own = {"XDG_CACHE_HOME": str(scratch), "VGSEARCH_CACHE": f"{self.bucket}/cache"}
        self.nodes[name] = self.cluster.add_node(num_cpus=1, env_vars=own)
        self.note(f"{name} joins")

    def kill(self, name: str) -> None:
        self.cluster.remove_node(self.nodes.pop(name), allow_graceful=False)
        self.note(f"{name} killed")

    def drain(self, name: str, seconds: int) -> None:
        """Acts as a cloud that preempts the node: it gets no new work and is killed after `seconds`."""
        command = [sys.executable, "-m", "ray.scripts.scripts", "drain-node", "--address", self.address]
        why = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot", "--deadline-remaining-seconds"]
        subprocess.run(
            [*command, "--node-id", self.nodes[name].node_id, *why, str(seconds)], check=True, capture_output=True
        )
        self.note(f"{name} drained: {seconds} s left")
        time.sleep(seconds)
        self.kill(name)

    def running_on(self) -> dict[str, str]:
        """The node that trains each running trial, by trial id, found by the copy in the node's own folder."""
        copies = (
            path for name in self.nodes for path in (self.folder / name).glob("vgsearch/trials/rank*/*/*/trials/t*")
        )
        return {path.name: path.relative_to(self.folder).parts[0] for path in copies}


@pytest.fixture
def nodes(s3_bucket: str, tmp_path: Path) -> Iterator[Nodes]:
    nodes = Nodes(tmp_path, s3_bucket)
    for name in ("node-a", "node-b", "node-c"):
        nodes.add(name)
    yield nodes
    lines = "\n".join(f"{seconds:6.1f} s  {what}" for seconds, what in sorted(nodes.timeline))
    print(lines)
    if "VGSEARCH_TIMELINES" in os.environ:
        (Path(os.environ["VGSEARCH_TIMELINES"]) / f"{tmp_path.name}.txt").write_text(lines + "\n")
    nodes.cluster.shutdown()


@pytest.fixture
def data(s3_bucket: str, tmp_path: Path) -> str:
    made = make_moving_shapes(tmp_path / "shapes", n_clips_each=1, n_groups=16)
    for path in [*made.usable["path"].to_pylist(), "manifest.parquet"]:
        place(f"{s3_bucket}/{tmp_path.name}/{path}").put((made.folder / path).read_bytes())
    return f"{s3_bucket}/{tmp_path.name}"


class Watched:
    """Follows a sweep's events and notes each in the timeline."""

    def __init__(self, address: str, driver: subprocess.Popen[str], machine: Machine, nodes: Nodes) -> None:
        self.address, self._driver, self._machine, self._nodes = address, driver, machine, nodes
        self._n_seen = 0

    def record(self) -> SweepRecord:
        record = read_ledger(Experiment.at(self.address).events)
        ended = [trial for trial in record.trials.values() if trial.state not in ("running", "interrupted")]
        for trial in ended[self._n_seen :]:
            self._nodes.note(f"{trial.trial_id[:5]} {trial.state} at step {trial.step}", at=trial.attempts[-1][1])
        self._n_seen = len(ended)
        return record

    def until(self, reached: Callable[[SweepRecord], bool], seconds: float = 900) -> SweepRecord:
        deadline = time.monotonic() + seconds
        while not reached(record := self.record()):
            assert self._driver.poll() is None, self._machine.log("tune")
            assert time.monotonic() < deadline, (self._nodes.timeline, self._machine.log("tune"))
            time.sleep(0.5)
        return record


def looked(record: SweepRecord) -> list[str]:
    """Running trials that have a look, and so a checkpoint in storage."""
    return [trial.trial_id for trial in record.trials.values() if trial.looks and trial.state == "running"]


def starts(address: str, trial: str) -> list[int]:
    """The first steps of a trial's attempts, from its log."""
    log = (place(address) / "trials" / trial / "log.txt").read_bytes().decode()
    return [int(step) for step in re.findall(r"training from step (\d+) ", log)]


def assert_nothing_is_held(nodes: Nodes) -> None:
    """Fails unless every CPU is free and no placement group is left."""
    ray.init(address=nodes.address, log_to_driver=False)
    try:
        deadline = time.monotonic() + 60
        while ray.available_resources().get("CPU", 0) < ray.cluster_resources()["CPU"]:
            assert time.monotonic() < deadline, (ray.available_resources(), placement_group_table())
            time.sleep(0.5)
        assert {group["state"] for group in placement_group_table().values()} <= {"REMOVED"}
    finally:
        ray.shutdown()


@pytest.fixture
def held(s3: tuple[str, Holding]) -> Iterator[Holding]:
    """Refuses every checkpoint of step 10, so that no trial ends before `key` is set to None."""
    holding = s3[1]
    holding.key = r"/checkpoints/step00000010\.pt"
    yield holding
    holding.key = None


def test_a_sweep_survives_nodes_that_die_are_drained_and_join(
    nodes: Nodes, data: str, s3_bucket: str, held: Holding, tmp_path: Path
):
    laptop, address = Machine(tmp_path / "head", s3_bucket), f"{s3_bucket}/runs/{tmp_path.name}"
    steps = ["--set", "loop.n_steps=40", "--set", "loop.look_every=5"]
    search = ["--data", data, "--out", f"{s3_bucket}/runs", "--name", tmp_path.name, "--trials", "6"]
    driver = laptop.start("tune", "mvt_tsa", *search, "--address", nodes.address, *TINY, *steps)
    sweep = Watched(address, driver, laptop, nodes)
    on: dict[str, str] = {}

    def victims(record: SweepRecord) -> list[str]:
        on.update(nodes.running_on())
        return [trial for trial in looked(record) if trial in on]

    killed, drained, *_ = victims(sweep.until(lambda record: len(victims(record)) >= 2))
    nodes.note(f"{killed[:5]} trains on {on[killed]}, {drained[:5]} on {on[drained]}")
    nodes.kill(on[killed])
    nodes.add("node-d")
    nodes.drain(on[drained], seconds=5)
    held.key = None
    nodes.add("node-e")
    driver.wait(1500)
    record = sweep.record()
    assert driver.returncode == 0, laptop.log("tune")
    assert len(record.trials) == 6
    assert {trial.state for trial in record.trials.values()} <= {"done", "pruned"}, laptop.log("tune")
    assert record.best is not None
    assert record.best.scores["s3"] > 0
    for trial in (killed, drained):
        began = starts(address, trial)
        nodes.note(f"{trial[:5]} began at steps {began}")
        assert len(began) >= 2
        assert all(step > 0 and step % 5 == 0 for step in began[1:]), "from a checkpoint in storage, not from nothing"
    untouched = [trial for trial in record.trials if trial not in (killed, drained)]
    assert sum(len(starts(address, trial)) == 1 for trial in untouched) >= len(untouched) - 1
    for trial in record.trials:
        lines = [
            json.loads(line) for line in (place(address) / f"trials/{trial}/metrics.jsonl").read_bytes().splitlines()
        ]
        trained = [line["step"] for line in lines if "d_video" in line]
        assert trained == list(range(1, len(trained) + 1)), "no gap and no step twice"
    assert not (laptop.folder / "runs").exists()
    assert_nothing_is_held(nodes)


def test_a_trial_on_two_nodes_survives_the_loss_of_one(
    nodes: Nodes, data: str, s3_bucket: str, held: Holding, tmp_path: Path
):
    laptop, address = Machine(tmp_path / "head", s3_bucket), f"{s3_bucket}/runs/{tmp_path.name}"
    steps = ["--set", "loop.n_steps=30", "--set", "loop.look_every=5"]
    search = ["--data", data, "--out", f"{s3_bucket}/runs", "--name", tmp_path.name, "--trials", "2"]
    workers = ["--workers-per-trial", "2", "--address", nodes.address]
    driver = laptop.start("tune", "mvt_tsa", *search, *workers, *TINY, *steps, *BY_DISTANCE)
    sweep = Watched(address, driver, laptop, nodes)
    sweep.until(lambda record: looked(record) != [])
    trial = looked(sweep.record())[0]
    ranks = {
        path.parts[-5]: path.relative_to(tmp_path).parts[0]
        for path in tmp_path.glob(f"node-*/vgsearch/trials/rank*/*/*/trials/{trial}")
    }
    nodes.note(f"{trial[:5]} trains on {ranks}")
    assert ranks["rank0"] != ranks["rank1"], "each node has one CPU"
    nodes.kill(ranks["rank1"])
    held.key = None
    driver.wait(1500)
    assert driver.returncode == 0, laptop.log("tune")
    record = sweep.record()
    assert {trial.state for trial in record.trials.values()} <= {"done", "pruned"}
    began = starts(address, trial)
    nodes.note(f"{trial[:5]} began at steps {began}")
    assert len(began) >= 2
    assert began[-1] > 0
    assert_nothing_is_held(nodes)

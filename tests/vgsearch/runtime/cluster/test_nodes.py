"""Clusters of several nodes: unfit nodes are refused before a sweep starts, and addable nodes count."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from vgsearch.runtime.cluster.cluster import resources
from vgsearch.runtime.cluster.nodes import refuse_unfit_nodes
from videogan.config import ConfigurationError
from videogan.protocols.classifier import weights_file
from videogan.storage.places import place


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[None]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "dashboard_port": port})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    yield
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.usefixtures("two_nodes")
def test_nodes_that_see_every_folder_pass_and_leave_no_marker_file(tmp_path: Path):
    refuse_unfit_nodes({"--out": tmp_path / "runs", "VGSEARCH_CACHE": place("s3://nobody/asks")})
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.usefixtures("two_nodes")
def test_a_folder_that_a_node_does_not_see_is_refused_with_option_and_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # Nodes on one machine see every folder, so here the marker file is never created.
    class Elsewhere(type(tmp_path)):
        def touch(self, *given, **named):
            return None

    with pytest.raises(
        ConfigurationError, match=r"node [\d.]+ does not see .*/runs \(--out\), which all nodes must share"
    ):
        refuse_unfit_nodes({"--out": Elsewhere(tmp_path / "runs")})


@pytest.mark.usefixtures("two_nodes")
def test_another_version_on_a_node_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from vgsearch.runtime.cluster import nodes

    here = nodes.versions()
    monkeypatch.setattr(nodes, "versions", lambda: here | {"torch": "1.0", "toy-gan": "2.0"})
    other = rf"has torch {here['torch']}, here 1\.0, toy-gan missing, here 2\.0; install the same versions"
    with pytest.raises(ConfigurationError, match=other):
        refuse_unfit_nodes({})


@pytest.mark.usefixtures("two_nodes")
def test_each_node_must_have_the_classifier_weights_of_the_sweep(tmp_path: Path):
    (tmp_path / "w.pt").write_bytes(b"weights")
    weights = weights_file(tmp_path / "w.pt")
    refuse_unfit_nodes({}, weights)
    (tmp_path / "w.pt").write_bytes(b"others")
    with pytest.raises(
        ConfigurationError, match=rf"node [\d.]+: .*w\.pt: .* must have sha256 {weights.sha256[:6]}\.\.\., got"
    ):
        refuse_unfit_nodes({}, weights)
    (tmp_path / "w.pt").unlink()
    with pytest.raises(ConfigurationError, match=r"node [\d.]+: .*w\.pt: cannot read this file"):
        refuse_unfit_nodes({}, weights)


@pytest.mark.usefixtures("two_nodes")
def test_nodes_that_an_autoscaler_may_add_are_counted(monkeypatch: pytest.MonkeyPatch):
    assert sorted(node.n_cpus for node in resources().present) == [0, 1]
    assert resources().addable == ()
    monkeypatch.setenv("VGSEARCH_MOST_NODES", '[{"count": 3, "CPU": 1}, {"count": 2, "CPU": 8, "GPU": 1}]')
    cluster = resources()
    assert [node.n_cpus for node in cluster.addable] == [1, 1, 8, 8], "one node of 1 CPU is present"
    assert cluster.max_concurrent(1, 1) == 2
    assert cluster.max_concurrent(1, 0) == 3 + 16

"""What an autoscaler may add, by the launcher's own file or as the user tells it."""

from pathlib import Path

import pytest
import yaml

from vgsearch.runtime.cluster import autoscaler
from vgsearch.runtime.cluster.autoscaler import nodes_to_come
from videogan.config import ConfigurationError

HEAD, GPU = {"CPU": 0}, {"CPU": 8.0, "GPU": 1.0}
CLUSTER = {
    "max_workers": 4,
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": HEAD, "max_workers": 0},
        "spot": {"resources": GPU, "max_workers": 3},
        "on_demand": {"resources": GPU, "max_workers": 3},
    },
}


@pytest.fixture
def launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("VGSEARCH_MOST_NODES", raising=False)
    monkeypatch.setattr(autoscaler, "LAUNCHER_FILE", tmp_path / "ray_bootstrap_config.yaml")
    autoscaler.LAUNCHER_FILE.write_text(yaml.safe_dump(CLUSTER))
    return autoscaler.LAUNCHER_FILE


@pytest.mark.parametrize(("n_there", "n_to_come"), [(0, 4), (1, 3), (4, 0)])
def test_of_a_launched_cluster_as_many_as_its_file_allows_in_all(launched: Path, n_there: int, n_to_come: int):
    assert nodes_to_come([HEAD, *[GPU] * n_there]) == [GPU] * n_to_come


def test_a_cluster_without_an_autoscaler_gets_no_more(launched: Path):
    launched.unlink()
    assert nodes_to_come([GPU]) == []


def test_what_the_user_tells_goes_before_the_file(launched: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VGSEARCH_MOST_NODES", '[{"count": 2, "CPU": 4}]')
    assert nodes_to_come([HEAD]) == [{"CPU": 4.0}] * 2


@pytest.mark.parametrize("written", ["8", "[8]", '[{"CPU": 4}]', "no JSON"])
def test_what_tells_no_nodes_is_refused(monkeypatch: pytest.MonkeyPatch, written: str):
    monkeypatch.setenv("VGSEARCH_MOST_NODES", written)
    with pytest.raises(ConfigurationError, match="VGSEARCH_MOST_NODES must be a list such as"):
        nodes_to_come([])

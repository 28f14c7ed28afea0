"""The nodes that an autoscaler may add, from the launcher's file or from VGSEARCH_MOST_NODES."""

from pathlib import Path

import pytest
import yaml

from vgsearch.runtime.cluster import autoscaler
from vgsearch.runtime.cluster.autoscaler import addable_nodes
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


@pytest.mark.parametrize(("n_present", "n_addable"), [(0, 4), (1, 3), (4, 0)])
def test_the_launchers_file_limits_the_total_number_of_nodes(launched: Path, n_present: int, n_addable: int):
    assert addable_nodes([HEAD, *[GPU] * n_present]) == [GPU] * n_addable


def test_without_an_autoscaler_no_node_can_be_added(launched: Path):
    launched.unlink()
    assert addable_nodes([GPU]) == []


def test_the_variable_overrides_the_launchers_file(launched: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VGSEARCH_MOST_NODES", '[{"count": 2, "CPU": 4}]')
    assert addable_nodes([HEAD]) == [{"CPU": 4.0}] * 2


@pytest.mark.parametrize("written", ["8", "[8]", '[{"CPU": 4}]', "no JSON"])
def test_a_variable_that_is_not_a_list_of_nodes_is_refused(monkeypatch: pytest.MonkeyPatch, written: str):
    monkeypatch.setenv("VGSEARCH_MOST_NODES", written)
    with pytest.raises(ConfigurationError, match="VGSEARCH_MOST_NODES must be a list such as"):
        addable_nodes([])

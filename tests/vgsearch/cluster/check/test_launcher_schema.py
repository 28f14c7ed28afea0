"""The launcher refuses a file if and only if Ray's own launcher does, and Ray is not imported to find out."""

import contextlib
import copy
import io
import subprocess
import sys

import pytest
import yaml

from tests.vgsearch.cluster.check.broken_files import BROKEN, CORRECT
from vgsearch.cluster.check.document import read_documents
from vgsearch.cluster.check.launcher_schema import ray_accepts_the_file

LAUNCHER_FILES = {
    **{name: text for name, text in CORRECT.items() if name != "kuberay"},
    **{name: file.text for name, file in BROKEN.items() if not name.startswith(("kind", "kuberay", "yaml"))},
}
EDITS = {
    "a provider that Ray lacks": ("aws", "type: aws", "type: awz"),
    "no head_node_type": ("aws", "head_node_type: head\n", ""),
    "more min_workers than max_workers": ("aws", "min_workers: 0", "min_workers: 5"),
    "min_workers beyond the launcher's own max_workers": (
        "aws",
        "max_workers: 4\nprovider: {type: aws, region: us-west-2, cache_stopped_nodes: false}",
        "provider: {type: aws, region: us-west-2, cache_stopped_nodes: false}\nmetadata: {}",
    ),
    "one image for head and workers": ("aws", "  head_image:", "  image:"),
    "no image for workers": ("aws", "  worker_image: rayproject/ray:2.60.0-py311-gpu\n", ""),
    "node types on machines of one's own": ("local", "auth:", "available_node_types: {x: {resources: {}, node_config: {}}}\nauth:"),
    "a coordinator without max_workers": ("local", "head_ip: 10.0.0.1", "coordinator_address: 10.0.0.1"),
    "a coordinator with max_workers": (
        "local",
        "provider: {type: local, head_ip",
        "max_workers: 1\nprovider: {type: local, coordinator_address",
    ),
    "settings of old versions": ("aws", "auth:", "min_workers: 1\nhead_node: {}\nworker_nodes: {}\nauth:"),
    "an old head_node": ("aws", "auth:", "head_node: {InstanceType: m5.large}\nauth:"),
    "a float among resources": ("aws", "{CPU: 0}", "{CPU: 0.5}"),
    "a number as a node type's name": ("aws", "  gpu:", "  5:"),
    "no provider type": ("aws", "type: aws, ", ""),
}  # fmt: skip


def ray_refuses(text: str) -> bool:
    """The answer of Ray's own code, which prints and raises all kinds of errors."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            validate_config(prepare_config(copy.deepcopy(yaml.safe_load(text))))
        except Exception:  # noqa: BLE001
            return True
    return False


@pytest.mark.parametrize("text", LAUNCHER_FILES.values(), ids=LAUNCHER_FILES)
def test_the_check_agrees_with_rays_launcher(text: str):
    (document,) = read_documents(text)
    assert bool(list(ray_accepts_the_file(document))) == ray_refuses(text)


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_the_check_agrees_with_rays_launcher_after_an_edit(edit: tuple[str, str, str]):
    name, old, new = edit
    assert CORRECT[name].count(old) == 1
    text = CORRECT[name].replace(old, new)
    (document,) = read_documents(text)
    found = list(ray_accepts_the_file(document))
    assert bool(found) == ray_refuses(text)
    assert len(found) < 2


def test_the_schema_is_read_without_importing_ray():
    code = (
        "import sys, vgsearch.cluster.check.launcher_schema as m; m.launcher_schema(); assert 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

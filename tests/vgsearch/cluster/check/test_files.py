"""Shipped files pass; each broken file is found by one rule, at one line; each rule has a broken file."""

import ast
from pathlib import Path

import pytest
import yaml

import vgsearch.cluster.check
from tests.vgsearch.cluster.check.broken_files import BROKEN, CORRECT, BrokenFile
from vgsearch.cluster.check.check import check_text
from vgsearch.cluster.check.finding import Finding
from vgsearch.cluster.check.machines import gpu, selected_gpu
from vgsearch.cluster.check.workers import GpuNeed
from vgsearch.cluster.init import shipped_files

SHIPPED = {name: file for name, file in shipped_files().items() if file.name.endswith(".yaml")}
NEEDS_GPUS = "mvt_tsa at --budget paper"


PAPERS_POINT = 39e9
"""Bytes that a dry run forecasts for a worker of mvt_tsa's paper's point in fp32."""
NEED = GpuNeed(NEEDS_GPUS, 20e9, lambda gpu: f"--set loop.accumulate={round(40e9 / gpu.memory_bytes)}")


def found_in(text: str, needs_gpus: str | None = NEEDS_GPUS, need: GpuNeed | None = NEED) -> list[Finding]:
    return check_text(text, needs_gpus, need)


def rules_of_the_code() -> set[str]:
    """The names of all rules: the arguments of Finding, and of the function that creates one."""
    (folder,) = vgsearch.cluster.check.__path__
    calls = [
        node
        for path in Path(folder).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Finding", "_unshared")
    ]
    place = {"Finding": 0, "_unshared": 2}
    named = [call.args[place[ast.unparse(call.func)]] for call in calls]
    return {argument.value for argument in named if isinstance(argument, ast.Constant)}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_file_passes_and_its_placeholders_are_noted(name: str):
    found = found_in(SHIPPED[name].read_text(), need=GpuNeed(NEEDS_GPUS, PAPERS_POINT, lambda _: ""))
    assert {finding.rule for finding in found if finding.is_note} == {"placeholder"} | (
        {"ssh-open"} if name == "aws" else set()
    )
    assert not [str(finding) for finding in found if not finding.is_note]


@pytest.mark.parametrize("text", CORRECT.values(), ids=CORRECT)
def test_a_correct_file_has_no_finding_and_no_note(text: str):
    assert not found_in(text)


@pytest.mark.parametrize("file", BROKEN.values(), ids=BROKEN)
def test_only_its_own_rule_finds_a_broken_file_and_names_its_line(file: BrokenFile):
    found = found_in(file.text)
    assert {(finding.rule, finding.line, finding.is_note) for finding in found} == {
        (file.rule, file.line, file.is_note)
    }
    assert all(finding.must and finding.came and finding.remedy for finding in found)


def test_too_small_a_gpu_is_named_with_the_settings_that_fit_and_the_gpus_that_hold_the_trial():
    (found,) = found_in(BROKEN["aws-gpu-memory"].text)
    assert str(found).startswith(
        f"a GPU of worker group 'gpu' must hold the 20.0 GB of {NEEDS_GPUS}, got T4 with 16.1 GB"
    )
    assert "Run it with --set loop.accumulate=2, or choose V100-32GB, A10G, L4, " in str(found)
    assert not found_in(BROKEN["aws-gpu-memory"].text, need=None)


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ({"cloud.google.com/gke-accelerator": "nvidia-l4"}, "L4"),
        ({"nvidia.com/gpu.product": "NVIDIA-L40S"}, "L40S"),
        ({"node.kubernetes.io/instance-type": "p4d.24xlarge"}, "A100-40GB"),
        ({"node.kubernetes.io/instance-type": "a2-ultragpu-1g"}, "A100-80GB"),
    ],
)
def test_the_gpu_of_kubernetes_nodes_is_read_from_their_selector(labels: dict[str, str], kind: str):
    found = selected_gpu(labels)
    assert found is not None
    assert found.name == kind


def test_the_gpu_of_a_machine_is_known_from_its_type_or_its_accelerators():
    attached = {"machineType": "n1-standard-8", "guestAccelerators": [{"acceleratorType": "zones/z/nvidia-tesla-t4"}]}
    kinds = [
        gpu("aws", {"InstanceType": "g6e.2xlarge"}),
        gpu("gcp", {"machineType": "zones/z/machineTypes/g2-standard-8"}),
    ]
    assert [kind and kind.name for kind in [*kinds, gpu("gcp", attached)]] == ["L40S", "L4", "T4"]
    assert gpu("aws", {"InstanceType": "m5.large"}) is gpu("aws", {}) is selected_gpu({}) is None


def test_every_rule_has_a_broken_file():
    assert {file.rule for file in BROKEN.values()} == rules_of_the_code()


@pytest.mark.parametrize(
    ("name", "old", "new", "rule", "line"),
    [
        (
            "aws",
            "--dashboard-host=127.0.0.1",
            "--dashboard-host=0.0.0.0",
            "dashboard-exposed",
            "ulimit -n 65536; ray start --head",
        ),
        ("aws", "RAY_AUTH_MODE=token", "RAY_AUTH_MODE=disabled", "no-token", "--env RAY_AUTH_MODE"),
        ("aws", "MarketType: spot", "MarketTipe: spot", "unknown-key", "MarketTipe"),
        ("aws", "vgsearch-worker}", "vgsearch-worker, Nam: x}", "unknown-key", "Nam: x"),
        ("gcp", "{CPU: 0}", "{CPU: 2}", "head-work", "  head:"),
        ("on_premises", "- mountpoint /mnt/vgsearch", "- mkdir -p /mnt/vgsearch", "shared-storage", "VGSEARCH_CACHE="),
        ("kuberay", "2.60.0", "2.59.0", "ray-version", "rayVersion: 2.59.0"),
        ("kuberay", "--out s3://BUCKET/runs", "--out runs", "runs-lost", "entrypoint:"),
    ],
)
def test_one_edit_of_a_shipped_file_is_found_at_its_line(name: str, old: str, new: str, rule: str, line: str):
    text = SHIPPED[name].read_text()
    assert old in text
    edited = text.replace(old, new, 1)
    (finding,) = [finding for finding in found_in(edited) if not finding.is_note]
    assert finding.rule == rule
    assert line in "\n".join(edited.splitlines()[finding.line - 1 : finding.line + 1])


def test_a_search_for_cpus_needs_no_gpu():
    text = BROKEN["aws-accelerator"].text
    assert not found_in(text, needs_gpus=None)
    assert NEEDS_GPUS in str(found_in(text)[0])


def test_a_script_is_not_a_cluster_file():
    (finding,) = found_in(shipped_files()["slurm"].read_text())
    assert (finding.rule, finding.line) == ("kind", 1)


def test_an_unknown_setting_is_named_with_the_nearest_known_one():
    (finding,) = found_in(BROKEN["aws-unknown-key-top"].text)
    assert str(finding) == "settings under the file must be known, got 'setup_comands'. Did you mean 'setup_commands'?"


def test_the_two_objects_for_kuberay_describe_one_cluster():
    job, cluster = yaml.safe_load_all(SHIPPED["kuberay"].read_text())
    assert job["spec"]["rayClusterSpec"] == cluster["spec"]


def values_replaced(value: object, by: object):
    """Copies of a nested value, each with one part replaced."""
    yield by
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in parts:
        for replaced in values_replaced(inner, by):
            changed = value.copy()
            changed[key] = replaced
            yield changed


@pytest.mark.parametrize("text", CORRECT.values(), ids=CORRECT)
def test_any_value_in_any_place_gives_findings_and_never_an_exception(text: str):
    for changed in values_replaced(yaml.safe_load(text), by=["x"]):
        assert all(finding.line >= 1 and str(finding) for finding in found_in(yaml.safe_dump(changed)))

"""Which modules may import which, read from the code with `ast`, including imports inside functions."""

import ast
import subprocess
import sys
from collections.abc import Iterator

from tests.contracts.source_code import MODULES, circle, imported, imports_of_files, imports_of_folders, nodes_of

SCIENCE_MAY_IMPORT = {"torch", "numpy", "av", "pydantic", "pyarrow", "PIL", "torchmetrics", "videogan"}
PLATFORM_RUNTIME = {"ray", "optuna"}
UNSAFE_READERS = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
SAFE_YAML = {"safe_load", "safe_dump", "YAMLError", "MarkedYAMLError"}
# For nodes with line numbers: `compose_all` creates no objects, and SafeLoader only plain ones.
SAFE_YAML |= {"compose_all", "SafeLoader", "Node", "MappingNode", "SequenceNode", "ScalarNode"}
SAFE_YAML |= {"dump", "SafeDumper"}  # writes only
STRING_IMPORTS = {"import_module", "__import__", "exec", "eval"}


def top(dotted: str) -> str:
    return dotted.partition(".")[0]


def is_in(dotted: str, package: str) -> bool:
    return dotted == package or dotted.startswith(f"{package}.")


def in_package(package: str) -> list[str]:
    found = [name for name in MODULES if is_in(name, package)]
    assert found, f"no module in {package}"
    return found


def test_videogan_imports_only_the_standard_library_and_seven_packages():
    allowed = SCIENCE_MAY_IMPORT | sys.stdlib_module_names
    assert not [
        (name, found) for name in in_package("videogan") for found in imported(name) if top(found) not in allowed
    ]


def family_of(name: str) -> str:
    """The file or folder in `families/` that a module belongs to; "" for other modules."""
    return ".".join(name.split(".")[:3]) if name.startswith("videogan.families.") else ""


def test_families_never_import_each_other():
    crossed = {
        name: found
        for name in in_package("videogan.families")
        for found in imported(name)
        if family_of(name) and family_of(found) not in ("", family_of(name), "videogan.families.contract")
    }
    assert not crossed


def test_metrics_import_no_data_training_classifiers_or_families():
    forbidden = ("videogan.data", "videogan.training", "videogan.classifiers", "videogan.families")
    reached = {
        name: found
        for name in in_package("videogan.metrics")
        for found in imported(name)
        if any(is_in(found, package) for package in forbidden)
    }
    assert not reached


def test_only_vgsearch_runtime_imports_ray_and_optuna():
    others = [name for name in MODULES if not is_in(name, "vgsearch.runtime")]
    assert not [(name, found) for name in others for found in imported(name) if top(found) in PLATFORM_RUNTIME]


def test_no_files_import_each_other_in_a_circle():
    assert " -> ".join(circle(imports_of_files())) == ""


def test_no_folders_import_each_other_in_a_circle():
    assert " -> ".join(circle(imports_of_folders())) == ""


LATE_IMPORTS = {
    "videogan": {"videogan"},  # a program's `load` and `evaluate` import torch; everything else imports this package
    "vgsearch": {"vgsearch"},  # likewise Ray
    "videogan.training.compilation": {"torch"},  # its compiler, whose import takes seconds, is an option
    "videogan.storage.places": {"pyarrow"},  # `vgsearch --help` and `spaces` name places and read none
    "vgsearch.object_store.working_copy": {"videogan"},  # the cache folder's module imports pyarrow
    "vgsearch.object_store.conditional": {"obstore", "pyarrow"},  # only drivers on an object store write by it
    "vgsearch.charts.image_grid": {"matplotlib"},  # `vgsearch report --help` draws nothing
    "vgsearch.charts.png": {"matplotlib"},
    "vgsearch.report.writing": {"plotly"},
    "vgsearch.terminal.line": {"videogan"},  # the masking of secrets imports pydantic
    "vgsearch.runtime.study.dashboard": {"optuna_dashboard"},  # an extra that not everyone installs
    "vgsearch.trackers.mlflow_runs": {"mlflow"},  # extras, imported when a search asks for them
    "vgsearch.trackers.trackio_runs": {"trackio"},
    "vgsearch.trackers.wandb_runs": {"wandb"},
    "vgsearch.runtime.feed.stream": {"torch"},  # Ray Data's workers decode without torch
}
"""Outside `vgsearch.commands`, whose late imports keep `--help` fast: what else a module imports inside a function."""


def imported_inside_functions(name: str) -> set[str]:
    """The packages that a module imports inside functions."""
    functions = [node for node in nodes_of(name) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = [node for function in functions for node in ast.walk(function)]
    found = {alias.name for node in inside if isinstance(node, ast.Import) for alias in node.names}
    return {
        top(dotted) for dotted in found | {node.module or "" for node in inside if isinstance(node, ast.ImportFrom)}
    }


def test_only_slow_libraries_are_imported_inside_functions():
    others = [name for name in MODULES if not is_in(name, "vgsearch.commands")]
    assert {name: found for name in others if (found := imported_inside_functions(name))} == LATE_IMPORTS


def test_a_circle_is_found_and_its_modules_are_listed():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == ["b", "c", "b"]
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []


def test_the_import_check_sees_ray_and_optuna_in_vgsearch_runtime():
    found = {top(dotted) for name in in_package("vgsearch.runtime") for dotted in imported(name)}
    assert found >= PLATFORM_RUNTIME


def test_reading_spaces_folders_and_ledgers_loads_neither_torch_nor_ray_nor_optuna():
    code = (
        "import sys, vgsearch.space.space, vgsearch.experiment.paths, vgsearch.experiment.ledger; print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "ray", "optuna"} & set(loaded.split())


def called(node: ast.Call) -> str:
    """The dotted name of the called function, as written in the code."""
    return ast.unparse(node.func)


def calls() -> Iterator[tuple[str, ast.Call, str]]:
    """Every call in the code: its module and line, the call, and the dotted name of what is called."""
    for name in MODULES:
        for node in nodes_of(name):
            if isinstance(node, ast.Call):
                yield f"{name}, line {node.lineno}", node, called(node)


def attributes() -> Iterator[tuple[str, str]]:
    """Every attribute of a name in the code, dotted, after its module and line."""
    for name in MODULES:
        for node in nodes_of(name):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                yield f"{name}, line {node.lineno}", f"{node.value.id}.{node.attr}"


def test_no_reader_can_run_code_from_a_file():
    imports = [(name, found) for name in MODULES for found in imported(name)]
    assert not [one for one in imports if top(one[1]) in UNSAFE_READERS]
    assert not [one for one in imports if one[1] in ("torch.load", "numpy.load", "yaml.load")], "call it by module"
    for where, call, name in calls():
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if name == "torch.load":
            assert given.get("weights_only") == "True", where
        assert given.get("allow_pickle", "False") == "False", where
    # TorchScript runs code by design: only of the file that --trust-torchscript names.
    assert {where.partition(",")[0] for where, _, name in calls() if "jit" in name} == {"videogan.protocols.detector"}


def test_yaml_is_only_read_and_written_safely():
    safe = {f"yaml.{name}" for name in SAFE_YAML}
    assert not [one for one in attributes() if one[1].startswith("yaml.") and one[1] not in safe]
    imports = [(name, found) for name in MODULES for found in imported(name)]
    assert not [one for one in imports if one[1].startswith("yaml.")], "call yaml by module"


def test_no_module_is_imported_by_a_string_or_from_a_changed_path():
    methods = STRING_IMPORTS - {"eval", "exec"}
    assert not [where for where, _, name in calls() if name.rpartition(".")[2] in methods or name in ("eval", "exec")]
    assert not [where for where, name in attributes() if name == "sys.path"]


def test_all_text_for_a_terminal_passes_through_the_two_places_that_make_it_harmless():
    ours = (
        "vgsearch.terminal.line,",
        "vgsearch.cluster.check.generate_kuberay_fields,",
    )  # the second is a tool of ours
    for where, call, name in calls():
        if where.startswith(ours):
            continue
        assert name.rpartition(".")[2] not in ("Console", "echo", "secho", "print_exc"), where
        if name == "print":  # JSON is ASCII, its controls are written out
            first = ast.unparse(call.args[0]) if call.args else ""
            assert first.startswith(("json.dumps(", "json_module.dumps(", "report.to_json(")), where

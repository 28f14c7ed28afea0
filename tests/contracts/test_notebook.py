"""The notebook in examples/ uses public names only, and shows what its code prints and draws."""

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.source_code import ROOT, nodes_of

NOTEBOOK = ROOT / "examples" / "first_search.ipynb"
MODULES = {"pandas", "matplotlib", "IPython", "PIL", "vgsearch", "videogan"}
"""What it may import beside the standard library."""
OBJECTS = {
    "found": ("vgsearch.interface.experiment", "SearchedExperiment"),
    "paper": ("vgsearch.interface.experiment", "SearchedExperiment"),
    "model": ("videogan.interface.model", "Model"),
}
"""What its names are bound to."""


def code_cells() -> list[dict[str, Any]]:
    return [cell for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


def public_names(module: str, of_class: str | None = None) -> set[str]:
    """The functions of a module, or the methods of one of its classes."""
    body = next(node.body for node in nodes_of(module) if isinstance(node, ast.Module))
    if of_class is not None:
        body = next(node.body for node in body if isinstance(node, ast.ClassDef) and node.name == of_class)
    return {node.name for node in body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")}


def test_its_code_is_python_of_public_names():
    known = {name: public_names(name) for name in ("vgsearch", "videogan")}
    known |= {name: public_names(*where) for name, where in OBJECTS.items()}
    assert known["vgsearch"] == {"tune", "load"}
    used = set()
    for cell in code_cells():
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [each.name for each in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                assert {name.partition(".")[0] for name in names} <= MODULES | sys.stdlib_module_names
                assert not any(name.startswith(("vgsearch.", "videogan.")) for name in names)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
                assert node.attr in known[node.value.id], ast.unparse(node)
                used.add(f"{node.value.id}.{node.attr}")
    assert used >= {"vgsearch.tune", "vgsearch.load", "videogan.load", "videogan.evaluate", "found.trials"}


def test_its_cells_were_run_in_order_and_its_pictures_are_stored():
    cells = code_cells()
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    kinds = [kind for output in outputs for kind in output.get("data", {})]
    assert kinds.count("image/gif") == 2
    assert kinds.count("image/png") == 1
    assert len(NOTEBOOK.read_bytes()) < 2_000_000
    assert "/work/" not in NOTEBOOK.read_text("utf-8")


@pytest.mark.slow  # starts Ray and trains for minutes; nbclient is in the extra notebook, which make drills installs
def test_it_runs_from_top_to_bottom_in_an_empty_folder(tmp_path: Path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, 4)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=1500, kernel_name="python3", resources=resources).execute()
    assert (tmp_path / "first_search" / "model" / "generator.pt").is_file()

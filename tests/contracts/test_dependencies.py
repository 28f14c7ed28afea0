"""Every package that the code imports is declared in pyproject.toml."""

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

from tests.contracts.test_imports import MODULES, imported, imported_inside_functions, top

ROOT = Path(__file__).parents[2]
OWN = {"vgsearch", "videogan"}
OF_EXTRAS = {"mlflow": ["mlflow-skinny"]}
"""Packages of modules by another name, of extras that may not be installed here."""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = (each for extra in project["optional-dependencies"].values() for each in extra)
    return {canonical(re.match(r"[A-Za-z0-9._-]+", each)[0]) for each in (*project["dependencies"], *extras)}


def test_no_package_comes_only_because_another_needs_it():
    by_module = {**OF_EXTRAS, **importlib.metadata.packages_distributions()}
    names = {top(dotted) for module in MODULES for dotted in imported(module)}
    names |= {name for module in MODULES for name in imported_inside_functions(module)}
    others = names - set(sys.stdlib_module_names) - OWN - {"", "__future__"}
    assert {"torch", "sqlalchemy", "yaml"} <= others, "the imports were read"
    known = declared()
    undeclared = {name for name in others if not {canonical(each) for each in by_module.get(name, [name])} & known}
    assert undeclared == set()

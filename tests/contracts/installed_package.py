"""Packages laid out in a folder as an installer leaves them, and processes that find them."""

import os
import subprocess
import sys
from pathlib import Path

from tests.contracts.source_code import ROOT


def write_entry_points(folder: Path, package: str, groups: dict[str, dict[str, str]]) -> None:
    """The metadata of an installed package."""
    metadata = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in e.items()) for group, e in groups.items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines))


def python(folder: Path, *arguments: str) -> str:
    """The output of a Python process with `folder` on its path, which must succeed."""
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

"""What a GPU is to show runs through on a CPU, without Ray, as far as a CPU goes; no number of a CPU is kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.end_to_end.machine import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(torch.cuda.is_available(), reason="make gpu runs it on the GPU")]
WITHOUT_RAY = """
import runpy, sys
for package in ("ray", "optuna"):
    sys.modules[package] = None
sys.path.insert(0, "")
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def rehearsed(*command: str | Path) -> str:
    """The output of a module that runs as on a machine without Ray and Optuna."""
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_RAY, *map(str, command)],
        cwd=ROOT, env={**os.environ, "REHEARSE": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_the_measurements_print_a_row_of_each_run_and_write_no_file(tmp_path: Path):
    output = rehearsed("tests.gpu.measure", "--rehearse", "--out", tmp_path / "report")
    rows = [line for line in output.splitlines() if line.startswith(("| smoke", "| paper", "| 1 at", "| 2 at"))]
    assert len(rows) == 8, output
    assert not (tmp_path / "report").exists()
    assert "nothing was measured" in rehearsed("tests.gpu.measure", "--out", tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_the_comparisons_need_no_ray_and_hold_between_a_cpu_and_itself():
    output = rehearsed("pytest", "-m", "gpu", "--confcutdir=tests/gpu", "--ignore=tests/gpu/test_sweep.py", "tests/gpu")
    assert "14 passed" in output, output

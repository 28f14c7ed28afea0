"""The Slurm script starts a head and workers with a token, and ends them with the sweep."""

import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.waiting import wait_until
from vgsearch.cluster.init import shipped_files

SCRIPT = shipped_files()["slurm"]
# Stand-ins for the programs that the script calls on a Slurm node; each logs its arguments.
STANDINS = {
    "scontrol": "echo node1; echo node2",
    "srun": 'case "$*" in *hostname*) echo 10.0.0.1;; *) exec sleep 100;; esac',
    "python": 'if [ "$1" = -c ]; then printf secret; else until [ "$(grep -c "ray start" "$LOG")" = 2 ]; do sleep 0.02; done; fi',
    "vgsearch": 'trap "exit 130" TERM; if [ -n "$LONG" ]; then touch "$LOG.up"; while :; do sleep 0.05; done; fi; exit 3',
}


@pytest.fixture
def node(tmp_path: Path) -> dict[str, str]:
    """An environment in which the script finds stand-ins for Slurm, Ray and vgsearch; LOG has their calls."""
    for name, body in STANDINS.items():
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'#!/bin/bash\necho "{name} $RAY_AUTH_MODE $*" >>"$LOG"\n{body}\n')
        file.chmod(0o755)
    shared = tmp_path / "shared"
    (shared / "venv" / "bin").mkdir(parents=True)
    (shared / "venv" / "bin" / "activate").write_text("")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    job = {"SLURM_JOB_ID": "77", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_CPUS_PER_TASK": "8", "LONG": ""}
    return {"PATH": path, "VGSEARCH_SHARED": str(shared), "LOG": str(tmp_path / "log"), **job}


def test_bash_can_parse_the_script():
    subprocess.run(["bash", "-n", SCRIPT], check=True)


def test_head_and_workers_start_with_a_token_and_end_with_the_sweep(node: dict[str, str]):
    done = subprocess.run(["bash", SCRIPT, "mvt_tsa", "--budget", "paper"], env=node, timeout=20)
    assert done.returncode == 3  # the sweep's own
    lines = Path(node["LOG"]).read_text().splitlines()
    (head,) = [line for line in lines if "ray start --head" in line]
    assert head.startswith("srun token ")
    assert "--nodelist=node1" in head
    assert "--num-cpus=7" in head
    assert "--dashboard-host=127.0.0.1" in head
    (others,) = [line for line in lines if "--nodelist=node2" in line]
    assert others.startswith("srun token ")
    (sweep,) = [line for line in lines if line.startswith("vgsearch")]
    assert sweep.endswith(f"tune mvt_tsa --budget paper --address 10.0.0.1:20077 --out {node['VGSEARCH_SHARED']}/runs")
    assert [path.name for path in Path(node["VGSEARCH_SHARED"]).iterdir()] == ["venv"], "the token file is deleted"
    assert not running(node)


def test_the_time_limit_stops_the_sweep_like_ctrl_c_and_the_job_returns_its_exit_code(node: dict[str, str]):
    job = subprocess.Popen(["bash", SCRIPT, "--resume", "/shared/runs/x"], env={**node, "LONG": "1"})
    wait_until(
        lambda: job.poll() is not None or Path(f"{node['LOG']}.up").exists(), lambda: "the sweep has not started"
    )
    assert job.poll() is None
    token = Path(node["VGSEARCH_SHARED"]) / ".token-77"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    job.terminate()
    assert job.wait(120) == 130
    assert "vgsearch token resume /shared/runs/x --address 10.0.0.1:20077" in Path(node["LOG"]).read_text()
    assert not token.exists()
    assert not running(node)


def running(node: dict[str, str]) -> list[str]:
    """Processes that the job left running and that do not end within a minute, recognised by their environment."""
    give_up = time.monotonic() + 60
    while left := _running(node):
        if time.monotonic() > give_up:
            break
        time.sleep(0.05)
    return left


def _running(node: dict[str, str]) -> list[str]:
    left = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"LOG={node['LOG']}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                left.append((folder / "cmdline").read_text())
        except OSError:  # it has just ended, or belongs to another user
            continue
    return left

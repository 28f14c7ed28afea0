"""Agents whose raylet has ended are killed soon after the driver; those of a raylet that runs, and others, stay."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.waiting import wait_until
from vgsearch.runtime.waits.processes import state_of

DRIVER = """
import os, signal, subprocess, sys, time
from vgsearch.runtime.cluster import agents
agents.SECONDS_TO_END = 0
with agents.agents_end_with_driver():
    time.sleep(1)  # a guard that does not wait for this process's end would be over now
    for agent in sys.argv[1:]:
        print(subprocess.Popen([agent, "600"], stdout=subprocess.DEVNULL).pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
RAYLET = (
    'import subprocess, sys; print(subprocess.Popen(["{}", "600"], stdout=subprocess.DEVNULL).pid, flush=True); input()'
)


def test_agents_of_a_killed_driver_end_and_those_of_a_living_raylet_and_other_programs_stay(tmp_path: Path):
    unnamed = tmp_path / "ray" / "dashboard" / "agent.py"
    unnamed.parent.mkdir(parents=True)
    agents = [*(tmp_path / f"ray::{name}" for name in ("DashboardAgent", "RuntimeEnvAgent")), unnamed,
              tmp_path / "ray::Another"]  # fmt: skip
    for agent in agents:
        shutil.copy("/bin/sleep", agent)
    raylet = tmp_path / "raylet"
    raylet.symlink_to(sys.executable)
    command = [raylet, "-S", "-c", RAYLET.format(agents[0]), unnamed]  # a raylet's command line has its agents' ones
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as living:
        assert living.stdout
        owned = int(living.stdout.readline())
        ended = subprocess.run([sys.executable, "-c", DRIVER, *agents], stdout=subprocess.PIPE, text=True)
        *orphans, other = map(int, ended.stdout.split())
        wait_until(lambda: not any(map(state_of, orphans)), lambda: list(map(state_of, orphans)), 120)
        assert living.poll() is None
        assert state_of(owned)
        assert state_of(other)
        for pid in (owned, other):
            os.kill(pid, 9)
        living.kill()

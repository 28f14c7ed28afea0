"""What is left of a driver's Ray is killed soon after the driver; parts of a living Ray and other programs stay."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.waiting import wait_until
from vgsearch.runtime.cluster.guard import MARK
from vgsearch.runtime.waits.processes import state_of

STARTED = """
import os, signal, subprocess, sys, time
from vgsearch.runtime.cluster import guard

def started(program="sleep", **options):
    sleeps = subprocess.Popen([program, "600"], stdout=subprocess.DEVNULL, **options)
    print(sleeps.pid, flush=True)
    return sleeps.pid
"""
DRIVER = (
    STARTED
    + """
guard.SECONDS_TO_END = 0
how = sys.argv[1]
agents = os.environ["AGENTS"].splitlines()  # not arguments: the guard would take this process for an agent
with guard.guarded() as marking:
    with marking:
        worker = started(start_new_session=True)
        os.kill(started(start_new_session=True), signal.SIGSTOP)
        subprocess.run(["sh", "-c", "sleep 600 > /dev/null & echo $!"])  # what a marked process starts
    for agent in agents:
        started(agent)
    time.sleep(1)  # a guard that does not wait for this process's end would be over now
    os.kill(worker, 0)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
"""
)
RAYLET = (
    STARTED
    + """
started(sys.argv[1])
input()
"""
)


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_what_a_driver_s_ray_leaves_ends_and_a_living_ray_and_other_programs_stay(tmp_path: Path, how: str):
    unnamed = tmp_path / "ray" / "dashboard" / "agent.py"
    unnamed.parent.mkdir(parents=True)
    agents = [*(tmp_path / f"ray::{name}" for name in ("DashboardAgent", "RuntimeEnvAgent")), unnamed,
              tmp_path / "ray::Another"]  # fmt: skip
    for agent in agents:
        shutil.copy("/bin/sleep", agent)
    raylet = tmp_path / "raylet"
    raylet.symlink_to(sys.executable)
    # A raylet's command line has its agents' commands.
    living = subprocess.Popen([raylet, "-c", RAYLET, agents[0], unnamed], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True, env={**os.environ, MARK: "another's"})  # fmt: skip
    assert living.stdout
    stay, left = [living.pid, int(living.stdout.readline())], []
    try:
        run = subprocess.run([sys.executable, "-c", DRIVER, how], stdout=subprocess.PIPE, text=True,
                             env={**os.environ, "AGENTS": "\n".join(map(str, agents))})  # fmt: skip
        *left, other = map(int, run.stdout.split())
        stay.append(other)
        assert (len(left), run.returncode) == (6, -9 if how == "killed" else 0)
        wait_until(lambda: not any(map(state_of, left)), lambda: list(map(state_of, left)), 120)
        assert all(state_of(pid) not in ("", "Z") for pid in stay)
    finally:
        for pid in [*stay, *left]:
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        living.communicate()

"""What is left of a driver's Ray is killed soon after the driver; what another program has started stays."""

import os
import subprocess
import sys
from contextlib import suppress

import pytest

from tests.waiting import wait_until
from vgsearch.runtime.cluster.guard import MARK
from vgsearch.runtime.waits.processes import state_of

DRIVER = """
import os, signal, subprocess, sys, time
from vgsearch.runtime.cluster import guard

def started(**options):
    sleep = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, **options)
    print(sleep.pid, flush=True)
    return sleep

guard.SECONDS_TO_END = 0
with guard.guarded() as marking:
    with marking:
        started()
        started(start_new_session=True)  # as Ray's workers
        # Its child has its parent's mark, and was started after the guard.
        later = subprocess.Popen(["sh", "-c", "sleep 600 > /dev/null & echo $!"], start_new_session=True)
        stopped = started(start_new_session=True)
        os.kill(stopped.pid, signal.SIGSTOP)
        later.wait()
    started()
    time.sleep(1)  # a guard that does not wait for this process's end would be over now
    print(*[os.path.exists(f"/proc/{stopped.pid}")], flush=True)
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_what_a_driver_s_ray_leaves_ends_and_other_programs_stay(how: str):
    others = [subprocess.Popen(["sleep", "600"], env={**os.environ, **mark}) for mark in ({}, {MARK: "another's"})]
    run = subprocess.run([sys.executable, "-c", DRIVER, how], stdout=subprocess.PIPE, text=True)
    *pids, lived = run.stdout.split()
    *left, unmarked = map(int, pids)
    try:
        assert len(left) == 4
        assert lived == "True", "the guard did not wait for the driver's end"
        wait_until(lambda: not any(map(state_of, left)), lambda: list(map(state_of, left)), 120)
        assert state_of(unmarked), "the driver started it for itself"
        assert all(other.poll() is None for other in others)
    finally:
        for pid in (unmarked, *left, *(other.pid for other in others)):
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        for other in others:
            other.wait()

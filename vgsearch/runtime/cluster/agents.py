"""The agents of a local Ray end soon after its driver: Ray itself lets them live on for a minute after a killed one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS_TO_END = 3
"""The agents' own time to end after a raylet that ends in order."""
GUARD = """exec 3<&0  # a shell gives a command in the background no standard input
(
    read -r _ <&3
    sleep $2
    for process in /proc/[0-9]*; do
        read -r pid name _ parent group _ < $process/stat && [ "$group" = "$1" ] || continue
        [ "$name" = "(raylet)" ] && continue  # its command line has the commands of its agents
        read -r _ name _ < /proc/$parent/stat
        [ "$name" = "(raylet)" ] && continue
        case $(cat $process/cmdline) in
            *ray::DashboardAgent* | *ray::RuntimeEnvAgent*) kill -9 $pid ;;
            */ray/dashboard/agent.py* | */ray/_private/runtime_env/agent/main.py*) kill -9 $pid ;;
        esac
    done
) &"""
"""A shell that waits until its standard input closes, which the kernel does when the driver dies, however it dies.

It kills the agents of a process group whose raylet has ended, also those that have not yet given themselves a name.
"""


@contextmanager
def agents_end_with_driver() -> Iterator[None]:
    """Kill what is left of Ray's agents soon after the block, or after this process has died in it.

    The raylet ends with its driver, and its agents notice, but first they try for a minute to tell the dead head.
    """
    waits, holds = os.pipe()
    # A session of its own: Ctrl-C and a closed terminal reach the driver, which needs the guard until it has ended.
    command = ["sh", "-c", GUARD, "guard", str(os.getpgrp()), str(SECONDS_TO_END)]
    nowhere = subprocess.DEVNULL
    subprocess.run(command, stdin=waits, stdout=nowhere, stderr=nowhere, start_new_session=True, check=True)
    os.close(waits)
    try:
        yield
    finally:
        os.close(holds)

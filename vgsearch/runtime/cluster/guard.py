"""A guard ends what is left of a local Ray soon after its driver, however that died."""

import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

MARK = "VGSEARCH_RAY"
"""A variable in the environment of a local Ray's processes; each driver has a value of its own."""
SECONDS_TO_END = 3
"""The time that Ray's processes have to end by themselves; its agents would take a minute, and some workers more."""
GUARD = """exec 3<&0  # a shell gives a command in the background no standard input
(
    read -r _ <&3
    sleep $3
    for round in 1 2 3 4 5 6 7 8 9 10; do
        found=
        for environ in $(grep -Fxlsz "$1" /proc/[0-9]*/environ); do
            pid=${environ#/proc/}
            kill -9 ${pid%/environ} && found=1
        done
        for process in /proc/[0-9]*; do
            read -r pid name _ parent group _ < $process/stat && [ "$group" = "$2" ] || continue
            [ "$name" = "(raylet)" ] && continue  # its command line has the commands of its agents
            read -r _ name _ < /proc/$parent/stat
            [ "$name" = "(raylet)" ] && continue
            case $(cat $process/cmdline) in
                *ray::DashboardAgent* | *ray::RuntimeEnvAgent*) kill -9 $pid && found=1 ;;
                */ray/dashboard/agent.py* | */ray/_private/runtime_env/agent/main.py*) kill -9 $pid && found=1 ;;
            esac
        done
        [ "$found" ] || exit
        sleep 1  # the next round ends what one of them has started meanwhile
    done
) &"""
"""A shell that waits until its standard input closes, which the kernel does when the driver dies, however it dies.

Then it kills the processes that have the driver's mark, and agents in the driver's process group whose raylet has
ended: an agent's name overwrites its environment. Workers have process groups of their own, and names that every Ray
gives: only the mark tells them from those of another Ray on the machine.
"""


@contextmanager
def guarded() -> Iterator[AbstractContextManager[None]]:
    """Kill what is left of a local Ray soon after the block, or after this process has died in it.

    Yields the context in which Ray must start: it marks the processes that start meanwhile, and those they start.
    """
    mark = uuid.uuid4().hex
    waits, holds = os.pipe()
    # A session of its own: Ctrl-C and a closed terminal reach the driver, which needs the guard until it has ended.
    command = ["sh", "-c", GUARD, "guard", f"{MARK}={mark}", str(os.getpgrp()), str(SECONDS_TO_END)]
    nowhere = subprocess.DEVNULL
    subprocess.run(command, stdin=waits, stdout=nowhere, stderr=nowhere, start_new_session=True, check=True)
    os.close(waits)
    try:
        yield _marking(mark)
    finally:
        os.close(holds)


@contextmanager
def _marking(mark: str) -> Iterator[None]:
    os.environ[MARK] = mark
    try:
        yield
    finally:
        del os.environ[MARK]

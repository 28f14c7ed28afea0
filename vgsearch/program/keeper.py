"""Runs a program until it ends or nobody wants it any more, and leaves none of its processes behind.

`process.py` starts this file as a process of its own, between a trial and its program: a trial can be killed at any
moment, with its driver or its node's Ray, and then nothing else would end the program. Only the standard library.

    python keeper.py SECONDS_TO_END PROGRAM ARGUMENT...

The program runs in its own process group, with both outputs on this process's standard error. Once standard input
closes, the group gets SIGTERM, and SIGKILL after SECONDS_TO_END. How the program ended is a line of JSON on standard
output: {"code": 0}, {"signal": 9} or {"error": "..."} if it did not start.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # Linux: processes whose parent died become children of this one
SECONDS_BETWEEN_LOOKS = 0.1


def main() -> None:
    # Ray kills the children of a worker that exits, before they could end theirs: so a child of the child keeps.
    if child := os.fork():
        os.waitpid(child, 0)
        return
    os.setsid()
    for each in (signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: os.close(0))  # as if nobody wanted the program any more
    with suppress(OSError, AttributeError):  # other systems
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    limit, arguments = float(sys.argv[1]), sys.argv[2:]
    try:
        program = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=2, stderr=2, start_new_session=True)
    except (OSError, ValueError) as error:
        tell({"error": f"{getattr(error, 'strerror', None) or error}: '{arguments[0]}'"})
        return
    while program.poll() is None and is_wanted():
        pass
    end_group(program, limit)
    end_children()
    code = program.returncode
    tell({"signal": -code} if code < 0 else {"code": code})


def is_wanted() -> bool:
    """Wait a moment; whether standard input is still open. The trial writes nothing there."""
    try:
        readable, _, _ = select.select([0], [], [], SECONDS_BETWEEN_LOOKS)
        return not readable or bool(os.read(0, 1))
    except OSError:
        return False


def end_group(program: "subprocess.Popen[bytes]", limit: float) -> None:
    """SIGTERM to the program's group, if any of it is left, and SIGKILL after `limit` seconds."""
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGTERM)
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            program.poll()
            reap(program)
            os.killpg(program.pid, 0)  # raises once the whole group has ended
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()


def reap(program: "subprocess.Popen[bytes]") -> None:
    """Collect the orphans that have ended; the program itself is collected by its own object."""
    for child in children():
        if child != program.pid:
            with suppress(ChildProcessError):
                os.waitpid(child, os.WNOHANG)


def end_children() -> None:
    """Kill what the program started in other groups, which became children of this process when it ended."""
    while found := children():
        for child in found:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def children() -> list[int]:
    """The ids of this process's children; none on systems that do not list them."""
    file = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(each) for each in file.read_text("ascii").split()] if file.is_file() else []


def tell(how: dict) -> None:
    with suppress(OSError):  # the trial was killed
        os.write(1, f"{json.dumps(how)}\n".encode())


if __name__ == "__main__":
    main()

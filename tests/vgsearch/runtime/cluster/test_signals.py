"""Ending signals call what a command does at its end; ignored ones stay ignored; processes that start are spared."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from vgsearch.runtime.cluster.signals import (
    ENDING,
    REPEATABLE,
    on_ending_signal,
    raised_by_handlers,
    spared_by_hang_ups,
)

WAITS_FOR_A_HANG_UP = """
import signal, time
from vgsearch.runtime.cluster.signals import interrupt, on_ending_signal
with on_ending_signal(interrupt):
    try:
        print("ready", flush=True)
        time.sleep(600)
    except KeyboardInterrupt:
        print("saved", flush=True)
        raise SystemExit(130)
"""


@pytest.mark.parametrize("signum", ENDING)
def test_each_ending_signal_acts_while_the_block_runs_and_no_longer(signum: int):
    before, got = signal.getsignal(signum), list[int]()
    with on_ending_signal(got.append):
        os.kill(os.getpid(), signum)
    assert got == [signum]
    assert signal.getsignal(signum) is before


def test_a_command_started_by_nohup_survives_a_hang_up():
    before, got = signal.signal(signal.SIGHUP, signal.SIG_IGN), list[int]()
    try:
        with on_ending_signal(got.append):
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert got == []


def test_a_command_whose_terminal_is_closed_ends_in_its_own_way_although_it_prints():
    pid, end = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", WAITS_FOR_A_HANG_UP])
    assert b"ready" in os.read(end, 100)
    os.close(end)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), RuntimeError("Ray is lost")])
def test_what_a_handler_raises_within_compiled_code_arrives_as_it_was_raised(raised: BaseException):
    with pytest.raises(type(raised)) as found, raised_by_handlers():
        raise SystemError("<cyfunction wait> returned a result with an exception set") from raised
    assert found.value is raised
    with pytest.raises(SystemError, match="without a cause"), raised_by_handlers():
        raise SystemError("without a cause")


def test_processes_that_start_are_spared_by_the_signals_of_a_shell_to_its_job():
    with spared_by_hang_ups():
        process = subprocess.Popen(["sleep", "600"])
    try:
        for signum in REPEATABLE:
            process.send_signal(signum)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM
    finally:
        process.kill()
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(REPEATABLE)

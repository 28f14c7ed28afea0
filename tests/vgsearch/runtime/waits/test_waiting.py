"""A wait tells what it waits for after half a minute, then twice as late each time; a short one says nothing."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from tests.waiting import wait_until
from vgsearch.runtime.waits import waiting as module
from vgsearch.runtime.waits.waiting import Telling, waiting


def test_a_wait_is_told_after_half_a_minute_and_then_twice_as_late_each_time():
    telling = Telling()
    assert [second for second in range(600) if telling.is_due(second)] == [30, 60, 120, 240, 480]


def test_times_that_a_suspended_process_missed_are_told_once():
    telling = Telling()
    assert telling.is_due(8 * 3600)
    assert not telling.is_due(8 * 3600 + 1)


def test_a_wait_names_what_it_waits_for_its_state_and_what_ends_it(capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "FIRST_TOLD", 0.001)
    asked = threading.Event()

    def state() -> str:
        asked.set()
        return "process 7 on a"

    with waiting("a fit", "Ctrl-C stops", state):
        assert asked.wait(60)
        wait_until(lambda: "waiting" in module_output(capsys), lambda: OUTPUT, 60)
    assert OUTPUT[0].startswith("waiting for a fit since 0s: process 7 on a; Ctrl-C stops\n")


OUTPUT = [""]


def module_output(capsys: pytest.CaptureFixture[str]) -> str:
    OUTPUT[0] += capsys.readouterr().err
    return OUTPUT[0]


def test_a_short_wait_says_nothing_and_passes_its_error_on(capsys):
    with pytest.raises(ValueError, match="of the block"), waiting("a fit", "Ctrl-C stops"):
        raise ValueError("of the block")
    assert capsys.readouterr().err == ""


WAITS = """
import time
from vgsearch.runtime.waits import waiting
waiting.FIRST_TOLD = 0.001
with waiting.waiting("a fit", "Ctrl-C stops"):
    time.sleep(600)
"""


def test_ctrl_c_ends_a_wait():
    with subprocess.Popen([sys.executable, "-c", WAITS], stderr=subprocess.PIPE, text=True) as process:
        assert "waiting for a fit" in process.stderr.readline()
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == -signal.SIGINT
        assert "KeyboardInterrupt" in process.stderr.read()

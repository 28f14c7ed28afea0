"""Programs as real processes: how they end, and that nothing of them is left."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import wait_until
from vgsearch.program.process import Exit, Program, last_line


def started(tmp_path: Path, code: str, seconds_to_end: float = 5.0) -> Program:
    return Program([sys.executable, "-c", code], tmp_path, os.environ, tmp_path / "log.txt", seconds_to_end)


def ended(program: Program) -> Exit:
    wait_until(lambda: program.exit is not None, lambda: "the program runs")
    assert program.exit is not None
    return program.exit


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pids_in(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()] if file.exists() else []


@pytest.mark.parametrize(
    ("code", "how", "text"),
    [
        ("print('well')", Exit(code=0), "ended with code 0"),
        ("import sys; print('no data'); sys.exit(3)", Exit(code=3), "ended with code 3"),
        ("import os; os.abort()", Exit(signal=signal.SIGABRT), "was ended by SIGABRT"),
    ],
)
def test_a_program_that_ends_says_how_and_what_it_printed(tmp_path, code, how, text):
    (tmp_path / "log.txt").write_text("of an earlier attempt\n")
    with started(tmp_path, code) as program:
        assert ended(program) == how
        assert str(how) == text
        assert last_line(program.last_lines()) == {0: "well", 3: "no data"}.get(how.code, "")


def test_only_signals_of_others_are_from_outside():
    assert Exit(signal=signal.SIGKILL).is_from_outside
    assert not Exit(signal=signal.SIGSEGV).is_from_outside
    assert not Exit(code=137).is_from_outside


def test_a_program_that_does_not_exist_is_named(tmp_path):
    with Program(["no-such-program", "x"], tmp_path, os.environ, tmp_path / "log.txt", 1.0) as program:
        assert str(ended(program)) == "could not be started: No such file or directory: 'no-such-program'"


def test_the_arguments_folder_and_variables_arrive_unchanged(tmp_path):
    odd = ["a b", "$HOME", "*", "", "{x}", "--"]
    show = "import os, sys; print(sys.argv[1:], os.getcwd(), os.environ['K'])"
    command = [sys.executable, "-c", show, *odd]
    with Program(command, tmp_path, {**os.environ, "K": "v w"}, tmp_path / "log.txt", 1.0) as program:
        ended(program)
        assert program.last_lines().strip() == f"{odd} {tmp_path} v w"


FAMILY = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
ignores = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", ignores])
other = subprocess.Popen([sys.executable, "-c", ignores], start_new_session=True)
open("pids", "w").write(f"{os.getpid()} {child.pid} {other.pid}\\n")
time.sleep(600)
"""
"""A program that ignores SIGTERM, with a child in its group and one in a session of its own."""


def test_an_ended_program_leaves_no_process_even_of_those_that_ignore_sigterm_or_changed_their_group(tmp_path):
    with started(tmp_path, FAMILY, seconds_to_end=0.5) as program:
        wait_until(lambda: len(pids_in(tmp_path / "pids")) == 3, program.last_lines)
    assert not [pid for pid in pids_in(tmp_path / "pids") if is_alive(pid)]


def test_a_program_may_save_between_sigterm_and_sigkill(tmp_path):
    saves = """
import signal, sys, time
def save(*_):
    time.sleep(0.3)
    open("saved", "w").write("all")
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
open("ready", "w")
time.sleep(600)
"""
    with started(tmp_path, saves) as program:
        wait_until((tmp_path / "ready").exists, program.last_lines)
    assert (tmp_path / "saved").read_text() == "all"
    assert program.exit == Exit(code=0)


@pytest.mark.parametrize("kills_children", [False, True])
def test_the_program_of_a_killed_process_ends_with_all_of_its_own(tmp_path, kills_children):
    """As a trial is killed with its driver, or by Ray with its children: nothing of it runs to end the program."""
    owner = (
        "import os, sys, time; from pathlib import Path; from vgsearch.program.process import Program\n"
        f"Program([sys.executable, '-c', {FAMILY!r}], Path({str(tmp_path)!r}), os.environ, "
        f"Path({str(tmp_path / 'log.txt')!r}), 0.5)\ntime.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", owner])
    wait_until(lambda: len(pids_in(tmp_path / "pids")) == 3, lambda: "not started")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split() if kills_children else []
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    assert bool(children) == kills_children
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not [p for p in pids_in(tmp_path / "pids") if is_alive(p)], lambda: "some processes are left")


def test_silence_is_counted_from_the_last_output(tmp_path):
    talks = "import time\nfor _ in range(3): print('here', flush=True); time.sleep(0.2)\ntime.sleep(600)"
    with started(tmp_path, talks) as program:
        wait_until(lambda: program.seconds_of_silence > 0.6, program.last_lines)
        assert program.last_lines().count("here") == 3
        program.heard()
        assert program.seconds_of_silence < 0.6


def test_the_last_line_of_a_progress_bar_is_its_newest_state():
    assert last_line("begin\n 10 %\r 20 %\r 30 %\n\n") == "30 %"
    assert last_line("") == ""

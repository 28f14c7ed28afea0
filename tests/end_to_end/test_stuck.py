"""Processes that stop or die while others wait for them: the user is told within a minute; nothing waits forever."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.end_to_end.machine import BY_DISTANCE, TINY, VGSEARCH, Machine, command_of, processes_of, within
from tests.waiting import wait_until
from vgsearch.experiment.ledger import SweepRecord, read_events, read_ledger
from vgsearch.experiment.paths import Experiment
from videogan.data.synthetic import make_moving_shapes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

LONG = ["--set", "loop.n_steps=100000", "--set", "loop.look_every=20"]
SHORT = ["--set", "loop.n_steps=4", "--set", "loop.look_every=2"]
FAKE, PREPARATION = "tests.end_to_end.fake_sweep", "tests.end_to_end.fake_preparation"
SECONDS_TOLD = 75.0
"""A minute, and what is between two looks of the thread that tells."""
SECONDS_LEFT = 20.0
"""Until nothing of an ended command is left."""
CGROUPS = next((file.parent for file in Path("/sys/fs/cgroup").glob("**/cgroup.controllers")), Path("/nowhere"))
"""Where a group of processes can be frozen (cgroups version 2)."""


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_moving_shapes(tmp_path_factory.mktemp("data") / "shapes", n_clips_each=1, n_groups=16).folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips and classifiers that the first sweep makes for the others."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def machine(tmp_path: Path, cache: Path) -> Iterator[Machine]:
    made = Machine(tmp_path / "machine", str(cache))
    made.own |= {"VGSEARCH_STALLED_AFTER": "40", "PYTHONUNBUFFERED": "1"}
    yield made
    for pid in processes_of(made):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def tune(machine: Machine, shapes: Path, *settings: str) -> subprocess.Popen[str]:
    return machine.start("tune", "mvt_tsa", "--data", shapes, "--trials", "1", "--name", "s", "--no-confirm-best",
                         *TINY, *settings)  # fmt: skip


def record(machine: Machine) -> SweepRecord:
    return read_ledger(Experiment(machine.folder / "runs" / "s").ledger)


def process_named(machine: Machine, name: str) -> int | None:
    """A process of the machine's user whose command line contains `name`."""
    return next((pid for pid in processes_of(machine) if name in command_of(pid)), None)


def signalled(machine: Machine, run: subprocess.Popen[str], name: str, signum: int) -> int:
    """Sends a signal to the process `name` as soon as there is one."""
    wait_until(lambda: run.poll() is not None or process_named(machine, name), lambda: f"a process {name}")
    pid = process_named(machine, name)
    assert pid is not None, f"the command ended with {run.poll()} before there was a process {name}"
    os.kill(pid, signum)
    return pid


def told(machine: Machine, run: subprocess.Popen[str], line: str) -> None:
    def log() -> str:
        return machine.log(PREPARATION)

    within(machine, SECONDS_TOLD, lambda: line in log() or run.poll() is not None)
    assert line in log(), log()


@pytest.mark.parametrize("task", ["ray::Map", "ray::_fit_in_this_process", "ray::_measure_floor"])
def test_a_stopped_task_is_named_and_started_again(machine: Machine, task: str):
    run = machine.start_module(PREPARATION, machine.folder)
    pid = signalled(machine, run, task, signal.SIGSTOP)
    told(machine, run, f" from process {pid} on ")
    assert "no sign of life for " in machine.log(PREPARATION)
    assert f"`kill -CONT {pid}` continues it" in machine.log(PREPARATION)
    told(machine, run, "it is ended, and Ray starts the task again")
    n_rounds = machine.log(PREPARATION).count("and round ")
    wait_until(lambda: run.poll() is not None or f"and round {n_rounds + 1}\n" in machine.log(PREPARATION),
               lambda: machine.log(PREPARATION))  # fmt: skip
    (machine.folder / "enough").touch()
    assert run.wait(1500) == 0, machine.log(PREPARATION)


@pytest.mark.parametrize(
    ("task", "code", "reason"),
    [
        ("ray::_measure_floor", 0, "the floor could not be measured: its process died each time it was started"),
        ("ray::_fit_in_this_process", 1, "could not be fitted: its process died each time it was started"),
    ],
)
def test_a_task_that_dies_each_time_is_told_in_a_line(
    machine: Machine, shapes: Path, tmp_path: Path, task: str, code: int, reason: str
):
    machine.own["VGSEARCH_CACHE"] = str(tmp_path / "own cache" if code else machine.own["VGSEARCH_CACHE"])
    run = tune(machine, shapes, *BY_DISTANCE, *SHORT)
    while run.poll() is None:
        if pid := process_named(machine, task):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    said = machine.log("tune")
    assert run.returncode == code, said
    lines = [line for line in said.splitlines() if reason in line]
    assert lines, said
    assert "WorkerCrashedError" in lines[0]
    assert "Traceback" not in said
    assert code or [trial.state for trial in record(machine).trials.values()] == ["done"]


@pytest.mark.parametrize(
    ("process", "signum", "reason"),
    [
        ("raylet/raylet ", signal.SIGKILL, "was killed by SIGKILL"),
        ("gcs_server ", signal.SIGKILL, "was killed by SIGKILL"),
        ("raylet/raylet ", signal.SIGSTOP, "is stopped"),
        ("gcs_server ", signal.SIGSTOP, "is stopped"),
    ],
)
def test_without_ray_a_sweep_ends_within_a_minute_by_name(machine: Machine, process: str, signum: int, reason: str):
    run, before = sweep_after_two_trials(machine)
    pid = signalled(machine, run, process, signum)
    ends_by_name(machine, run, before, f"(process {pid}) {reason}")


STOPPED_AT_THE_END = """
import os, signal, sys
from ray._private import worker
from vgsearch.runtime.cluster.cluster import connect
with connect():
    (process,) = worker._global_node.all_processes[sys.argv[1]]
    os.kill(process.process.pid, signal.SIGSTOP)
"""


@pytest.mark.parametrize("process", ["raylet", "gcs_server"])
def test_a_process_of_ray_that_is_stopped_when_ray_ends_is_killed(machine: Machine, process: str):
    left = subprocess.run(
        [sys.executable, "-c", STOPPED_AT_THE_END, process], env={**os.environ, **machine.own},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert left.returncode == 0, left.stderr
    assert "is stopped and cannot end: killed" in left.stderr


@pytest.mark.skipif(not os.access(CGROUPS, os.W_OK), reason="only root freezes a process that is not stopped")
def test_a_head_that_lives_and_answers_nothing_ends_a_sweep_within_a_minute_by_name(machine: Machine):
    run, before = sweep_after_two_trials(machine)
    pid = signalled(machine, run, "gcs_server ", signal.SIGCONT)
    frozen = CGROUPS / f"vgsearch-test-{pid}"
    frozen.mkdir()
    try:
        (frozen / "cgroup.procs").write_text(str(pid))
        (frozen / "cgroup.freeze").write_text("1")
        ends_by_name(machine, run, before, f"(process {pid}) does not answer")
    finally:
        (frozen / "cgroup.freeze").write_text("0")
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not (frozen / "cgroup.procs").read_text(), lambda: "an empty group")
        frozen.rmdir()


def sweep_after_two_trials(machine: Machine) -> tuple[subprocess.Popen[str], SweepRecord]:
    """A sweep that runs, and its record after more than one trial is done."""
    run = machine.start_module(FAKE, machine.folder / "runs" / "s", "1000")
    before = SweepRecord()

    def has_ended() -> bool:
        nonlocal before
        experiment = Experiment(machine.folder / "runs" / "s")
        before = read_ledger(experiment.events) if experiment.has_events else before
        return len(before.done) > 1

    wait_until(lambda: run.poll() is not None or has_ended(), lambda: machine.log(FAKE))
    return run, before


def ends_by_name(machine: Machine, run: subprocess.Popen[str], before: SweepRecord, reason: str) -> None:
    """The sweep ends in time with one line that has the reason, and loses no trial."""
    assert within(machine, SECONDS_TOLD, lambda: run.poll() is not None), machine.log(FAKE)
    assert run.returncode == 1, machine.log(FAKE)
    assert reason in machine.log(FAKE).strip().splitlines()[-1]
    trials = record(machine).trials
    assert set(trials) >= set(before.trials)
    assert "lost" not in {trial.state for trial in trials.values()}, "those that died with Ray go on at the next start"
    nothing_is_left(machine)


def nothing_is_left(machine: Machine) -> None:
    within(machine, SECONDS_LEFT, lambda: not processes_of(machine))
    assert [command_of(pid)[:80] for pid in processes_of(machine)] == []


def test_of_a_killed_driver_nothing_is_left(machine: Machine):
    run = machine.start_module(FAKE, machine.folder / "runs" / "s", "1000")
    signalled(machine, run, "ray::ImplicitFunc", signal.SIGCONT)  # Ray and its agents run
    run.kill()
    run.wait()
    nothing_is_left(machine)


def test_of_a_killed_driver_whose_trial_has_several_workers_nothing_is_left(machine: Machine, shapes: Path):
    run = tune(machine, shapes, *BY_DISTANCE, *LONG, "--workers-per-trial", "2")
    signalled(machine, run, "ray::RayTrainWorker", signal.SIGCONT)
    assert process_named(machine, "ray::TrainController"), "it has a process group of its own"
    run.kill()
    run.wait()
    nothing_is_left(machine)


@pytest.mark.parametrize("process", ["gcs_server ", "raylet/raylet ", "ray::_fit_in_this_process"])
def test_sigterm_while_ray_starts_or_a_sweep_prepares_ends_it_without_a_stack(machine: Machine, process: str):
    run = machine.start_module(PREPARATION, machine.folder)
    signalled(machine, run, process, signal.SIGCONT)  # it has come so far
    run.terminate()
    assert within(machine, SECONDS_TOLD, lambda: run.poll() is not None), machine.log(PREPARATION)
    assert run.returncode == 130, machine.log(PREPARATION)
    assert "Traceback" not in machine.log(PREPARATION)
    assert "***" not in machine.log(PREPARATION), "the stack that Ray's C++ prints"
    nothing_is_left(machine)


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGUSR1])
def test_a_hang_up_and_a_scheduler_s_warning_save_and_stop_as_ctrl_c(machine: Machine, signum: int):
    run = machine.start_module(FAKE, machine.folder / "runs" / "s", "1000")
    ledger = Experiment(machine.folder / "runs" / "s").ledger
    wait_until(lambda: run.poll() is not None or (ledger.exists() and record(machine).done), lambda: machine.log(FAKE))
    os.killpg(run.pid, signum)  # a shell and a scheduler send them to the whole job, Ray's processes included
    os.killpg(run.pid, signum)
    assert run.wait(1500) == 130, machine.log(FAKE)
    assert "saving and stopping" in machine.log(FAKE)
    assert {trial.state for trial in record(machine).trials.values()} <= {"done", "pruned", "diverged", "interrupted"}
    assert record(machine).ended == "interrupted"


@contextmanager
def terminal(machine: Machine, *arguments: str | Path) -> Iterator[tuple[int, int]]:
    """Runs a command as the leader of a terminal's session; yields its process id and the terminal's other end."""
    pid, end = pty.fork()
    if pid == 0:
        os.chdir(machine.folder)
        os.execvpe(VGSEARCH[0], [*VGSEARCH, *map(str, arguments)], {**os.environ, **machine.own})
    try:
        yield pid, end
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_closed_terminal_saves_and_stops_as_ctrl_c(machine: Machine, shapes: Path):
    arguments = ["tune", "mvt_tsa", "--data", shapes, "--trials", "1", "--name", "s", *TINY, *BY_DISTANCE, *LONG]
    ledger = machine.folder / "runs" / "s" / "ledger.jsonl"
    with terminal(machine, *arguments) as (pid, end):
        os.set_blocking(end, False)

        def looked() -> bool:
            with suppress(BlockingIOError):
                os.read(end, 65536)
            return ledger.exists() and any(event["event"] == "look" for event in read_events(ledger))

        wait_until(looked, lambda: ledger.exists() and ledger.read_text())
        os.close(end)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    assert [trial.state for trial in record(machine).trials.values()] == ["interrupted"]
    assert record(machine).ended == "interrupted"
    nothing_is_left(machine)

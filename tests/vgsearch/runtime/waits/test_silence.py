"""A process without signs of life is named with its state, ended after the limit, and forgotten once it is gone."""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.waiting import wait_until
from vgsearch.runtime.waits import silence
from vgsearch.runtime.waits.beats import Beat, beating, kill, state_of_beat
from vgsearch.runtime.waits.processes import started, state_of
from vgsearch.runtime.waits.silence import UNREACHABLE, Silences
from vgsearch.runtime.waits.workers import TRIAL, stopped_workers


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


@pytest.fixture
def beat(sleeper: subprocess.Popen) -> Beat:
    return Beat("a fit", sleeper.pid, started(sleeper.pid), "n", "10.0.0.7", 1)


@pytest.fixture(autouse=True)
def _a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SECONDS_AT_LEAST", 600.0)


def looked(silences: Silences, beat: Beat, seconds: range) -> list[str]:
    """Looks every five seconds at a process that gives no new sign; returns what was forgotten."""
    return [key for second in seconds for key in silences.look({"k": beat}, float(second))]


def test_a_stopped_process_is_named_within_half_a_minute_and_killed_at_the_limit(
    sleeper: subprocess.Popen, beat: Beat, capsys: pytest.CaptureFixture[str]
):
    silences = Silences(state_of_beat, kill)
    sleeper.send_signal(signal.SIGSTOP)
    wait_until(lambda: state_of(sleeper.pid) == "T", lambda: state_of(sleeper.pid), 60)
    assert looked(silences, beat, range(0, 35, 5)) == []
    assert capsys.readouterr().err == (
        f"a fit: no sign of life for 30s from process {sleeper.pid} on 10.0.0.7, which is stopped; "
        f"there `kill -CONT {sleeper.pid}` continues it. It is ended after 10m00s; Ctrl-C stops\n"
    )
    assert looked(silences, beat, range(35, 600, 5)) == []
    assert sleeper.poll() is None
    assert looked(silences, beat, range(600, 605, 5)) == ["k"]
    assert sleeper.wait(60) == -signal.SIGKILL
    assert "no sign of life for 10m00s" in silences.ended["a fit"]
    assert capsys.readouterr().err.count("\n") == 1


def test_tasks_that_run_are_named_with_their_process_and_trials_are_not(beat: Beat):
    silences = Silences(state_of_beat, kill)
    silences.look({"k": beat, "t": replace(beat, what=f"{TRIAL}.train()")}, 0.0)
    assert silences.tasks() == [f"a fit runs in process {beat.pid} on 10.0.0.7"]


def test_a_process_that_beats_again_is_told_and_starts_anew(beat: Beat, capsys: pytest.CaptureFixture[str]):
    silences = Silences(state_of_beat, kill)
    looked(silences, beat, range(0, 35, 5))
    assert ", which is stopped" not in capsys.readouterr().err
    silences.look({"k": replace(beat, number=2)}, 35.0)
    assert capsys.readouterr().err.endswith("continues after 30s\n")
    looked(silences, replace(beat, number=2), range(40, 65, 5))
    assert capsys.readouterr().err == ""


def test_a_suspended_driver_counts_no_silence(beat: Beat, capsys: pytest.CaptureFixture[str]):
    silences = Silences(state_of_beat, kill)
    silences.look({"k": beat}, 0.0)
    silences.look({"k": beat}, 8 * 3600.0)
    assert capsys.readouterr().err == ""


def test_a_process_that_ended_is_forgotten_without_a_word_and_never_another_of_its_id(
    beat: Beat, sleeper: subprocess.Popen, capsys: pytest.CaptureFixture[str]
):
    other = replace(beat, began=beat.began - 1)
    assert looked(Silences(state_of_beat, kill), other, range(0, 35, 5)) == ["k"]
    assert capsys.readouterr().err == ""
    kill(other)
    assert sleeper.poll() is None


def test_a_stopped_child_is_found_although_it_never_beat_and_no_other_process(sleeper: subprocess.Popen):
    assert workers_of_this_process() == {}
    sleeper.send_signal(signal.SIGSTOP)
    wait_until(workers_of_this_process, lambda: state_of(sleeper.pid), 60)
    (found,) = workers_of_this_process().values()
    assert (found.what, found.pid, found.began) == ("sleep", sleeper.pid, started(sleeper.pid))


def test_a_trial_is_told_and_left_to_the_watchdog_of_trials(
    beat: Beat, sleeper: subprocess.Popen, capsys: pytest.CaptureFixture[str]
):
    trial = replace(beat, what="ray::ImplicitFunc.train")
    assert looked(Silences(state_of_beat, kill), trial, range(0, 1000, 5)) == []
    assert capsys.readouterr().err.count("no sign of life for 30s") == 1
    assert sleeper.poll() is None


def workers_of_this_process() -> dict[str, Beat]:
    return stopped_workers(os.getpid(), "n", "10.0.0.7")


def test_a_node_that_does_not_answer_is_told(beat: Beat, capsys: pytest.CaptureFixture[str]):
    looked(Silences(lambda beat: UNREACHABLE, kill), beat, range(0, 35, 5))
    assert "whose node does not answer. It is ended after 10m00s" in capsys.readouterr().err


def test_running_tasks_are_found_by_the_start_of_their_name(beat: Beat):
    silences = Silences(state_of_beat, kill)
    silences.look({"k": beat, "l": replace(beat, what="the floor")}, 0.0)
    assert [found.what for found in silences.running("a f")] == ["a fit"]


def test_a_process_without_ray_gives_no_signs():
    with beating("a fit"):
        assert os.getpid()

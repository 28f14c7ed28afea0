"""The watchdog separates silent from slow trials by their files and by how long others were silent."""

from pathlib import Path

import pytest

from vgsearch.experiment.paths import TrialFolder
from vgsearch.runtime.sweep import watchdog
from vgsearch.runtime.sweep.watchdog import Pulse, Starts, Watchdog


@pytest.fixture
def folder(tmp_path: Path) -> TrialFolder:
    return TrialFolder(tmp_path)


def test_silence_counts_only_while_the_driver_watches_and_ends_with_a_sign_of_life(folder: TrialFolder):
    pulse = Pulse(folder, now=100.0)
    assert not any(pulse.check(now) for now in range(101, 131))
    assert pulse.silent == 30
    assert pulse.beat() == 30
    assert pulse.silent == 0


def test_a_suspended_driver_counts_no_silence(folder: TrialFolder):
    pulse = Pulse(folder, now=100.0)
    pulse.check(101.0)
    pulse.check(101.0 + 8 * 3600)  # suspended overnight, or Ctrl-Z
    assert pulse.silent <= 11


@pytest.mark.parametrize("name", ["metrics", "log"])
def test_a_file_that_grows_is_a_sign_of_life(folder: TrialFolder, name: str):
    pulse = Pulse(folder, now=0.0)
    assert not pulse.check(1.0)
    getattr(folder, name).write_text("step 1")
    assert pulse.check(2.0)
    assert not pulse.check(3.0)


def test_limit_is_longest_before_the_first_sign_and_grows_with_what_was_seen(folder: TrialFolder, monkeypatch):
    monkeypatch.setattr(watchdog, "SECONDS_AT_LEAST", 100.0)
    dog, pulse = Watchdog(), Pulse(folder, now=0.0)
    assert dog._limit(pulse) == 300
    pulse.beat()
    assert dog._limit(pulse) == 100
    dog._longest = 90.0
    assert dog._limit(pulse) == 270


def test_trials_that_wait_while_none_runs_are_told_within_half_a_minute_and_again(capsys: pytest.CaptureFixture[str]):
    starts = Starts()
    for second in range(100, 171):
        starts.check({"PENDING", "TERMINATED"}, float(second))
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in told] == [
        "waiting for the first trial since 30s",
        "waiting for the first trial since 1m00s",
    ]
    assert told[0].endswith(
        "not started; those reserved for it count as taken; it ends when its process has started; Ctrl-C stops"
    )


def test_nothing_is_told_while_a_trial_runs_and_the_time_starts_anew(capsys: pytest.CaptureFixture[str]):
    starts = Starts()
    for second in range(0, 300):
        starts.check({"PENDING"} if second % 20 else {"PENDING", "RUNNING"}, float(second))
    assert capsys.readouterr().err == ""

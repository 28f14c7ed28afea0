"""The watchdog separates silent from slow trials by their files and by how long others were silent."""

from pathlib import Path

import pytest

from vgsearch.experiment.paths import TrialFolder
from vgsearch.runtime.sweep import watchdog
from vgsearch.runtime.sweep.watchdog import Pulse, Watchdog


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

"""Numbers, intervals, sizes and durations have one format each."""

import math
import shlex
from pathlib import Path

import pytest

from vgsearch.terminal.words import duration, interval, number, short_name, shown, size, typed, value
from videogan.metrics.interval import Interval

NAN = math.nan


@pytest.mark.parametrize(
    ("measured", "written"),
    [
        (0.62, "0.62"),
        (28.716, "28.72"),
        (-0.1, "-0.10"),
        (0.0031, "0.0031"),
        (-1e-12, "-0.00"),
        (None, "-"),
        (NAN, "-"),
    ],
)
def test_a_number_has_two_decimals_or_two_significant_digits(measured: float | None, written: str):
    assert number(measured) == written


@pytest.mark.parametrize(
    ("measured", "written"),
    [
        (Interval(0.62, 0.58, 0.66), "0.62 [0.58, 0.66]"),
        (Interval(0.05, -0.2, 0.3), "0.05 [-0.20, 0.30]"),
        (Interval(0.0041, 0.004, 0.0042), "0.0041 [0.004, 0.0042]"),
        (Interval(0.0, 0.0, 0.0), "0.00 [0.00, 0.00]"),
        (Interval(0.5, NAN, NAN), "0.50 [-, -]"),
        (Interval(NAN, NAN, NAN), "-"),
    ],
)
def test_the_parts_of_an_interval_have_one_precision_and_an_undefined_part_is_a_dash(measured: Interval, written: str):
    assert interval(measured) == written


def test_an_interval_is_written_in_percent_and_with_signs():
    assert interval(Interval(0.581, 0.54, 0.622), percent=True) == "58.1 [54.0, 62.2]"
    assert interval(Interval(0.12, -0.1, 0.34), "+") == "+0.12 [-0.10, +0.34]"


@pytest.mark.parametrize(
    ("n_bytes", "written"),
    [(50e9, "50.0 GB"), (1.25e9, "1.2 GB"), (27.4e6, "27 MB"), (5.4e5, "540 kB"), (999, "999 B"), (0, "0 B")],
)
def test_sizes_have_the_unit_in_which_they_are_readable(n_bytes: float, written: str):
    assert size(n_bytes) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.4, "0s"), (59, "59s"), (60, "1m00s"), (90, "1m30s"), (3600, "1h00m"), (5400, "1h30m"), (90000, "25h00m")],
)
def test_durations_have_two_units(seconds: float, written: str):
    assert duration(seconds) == written


def test_values_and_names_are_short():
    assert short_name("model.sigma_a") == "sigma_a"
    assert [value(v) for v in (None, 5e-05, 0.123456, 16, "svc")] == ["-", "5e-05", "0.12", "16", "svc"]


def test_paths_are_relative_below_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert shown(tmp_path / "runs" / "x") == "runs/x"
    assert shown(Path("runs/x")) == "runs/x"
    assert shown(Path("/elsewhere/x")) == "/elsewhere/x"


def test_a_path_in_a_command_is_one_word_of_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("plain", "with space", "it's", "$HOME", "a;b", "x[1]"):
        assert shlex.split(f"vgsearch resume {typed(tmp_path / name)}") == ["vgsearch", "resume", name]
    assert typed(tmp_path / "plain") == "plain"
    assert typed(tmp_path / "-x") == "./-x"  # no option

"""Durations and sizes are read as people write them."""

import pytest

from vgsearch.space.amounts import bytes_of, hours_of
from videogan.config import ConfigurationError


@pytest.mark.parametrize(
    ("written", "hours"),
    [
        ("8h", 8),
        ("1h30m", 1.5),
        ("1h 30m", 1.5),
        ("90m", 1.5),
        ("1.5H", 1.5),
        ("2d", 48),
        ("1d12h", 36),
        ("45s", 0.0125),
    ],
)
def test_a_duration_is_read(written: str, hours: float):
    assert hours_of(written, "--time-budget") == pytest.approx(hours)


@pytest.mark.parametrize("written", ["8", "h", "0h", "30m1h", "1h1h", "8 hours", "-8h", "1h30"])
def test_a_duration_without_a_unit_out_of_order_or_of_nothing_is_refused(written: str):
    with pytest.raises(ConfigurationError, match="--time-budget must"):
        hours_of(written, "--time-budget")


def test_sizes_are_read_with_their_units():
    written = ("50GB", "50G", "1.5 tb", "500MB", "0.5GiB")
    assert [bytes_of(text, "--disk-budget") for text in written] == [50e9, 50e9, 1.5e12, 500e6, 2**29]
    for text in ("50", "0GB", "GB", "-1GB", "5 apples"):
        with pytest.raises(ConfigurationError, match="--disk-budget must look like 50G"):
            bytes_of(text, "--disk-budget")

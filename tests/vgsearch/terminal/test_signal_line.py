"""The signal in words: numbers, what is unknown, and why."""

import pytest

from vgsearch.terminal.signal_line import seeds_needed, share_between, signal_line
from videogan.metrics.interval import Interval
from videogan.metrics.retraining_noise import RetrainingNoise, SeedsNeeded, retraining_noise

ICC = Interval(0.617, 0.196, 0.908)


def analysed(icc: Interval = ICC, seeds: SeedsNeeded | None = None, reason: str = "") -> RetrainingNoise:
    return RetrainingNoise(5, 15, icc, 0.004, 0.0025, seeds, reason)


def test_the_line_has_the_share_and_the_seeds_with_their_intervals():
    assert signal_line("s3", analysed(seeds=SeedsNeeded(0.05, 17, 9, 1234)), "points") == (
        "62 % [20, 91] of the variance in S3 is between points, the rest is retraining; "
        "17 [9, 1,234] seeds a point tell two points 0.05 apart (two-sided 5 %, power .8)"
    )


def test_a_share_below_zero_is_shown_as_zero():
    assert share_between(analysed(Interval(-0.1, -0.3, 0.4))) == "0 % [0, 40]"


def test_numbers_of_seeds_beyond_counting_are_said_to_be_so():
    assert seeds_needed(analysed(seeds=SeedsNeeded(0.05, 17, 9, None))).startswith("17 [9, over 100,000] tell")


def test_unknown_seeds_and_shares_have_a_reason_and_no_number():
    no_more = retraining_noise([[5.0, 6.0], [5.0, 6.0]], apart=None)
    assert signal_line("kvd", no_more, "points").endswith(
        "the seeds that tell two points apart are unknown: points differ no more than runs of one point do"
    )
    assert signal_line("s3", retraining_noise([[0.5, 0.6]]), "points") == (
        "unknown for S3: it needs at least 2 points with a score, got 1"
    )


@pytest.mark.parametrize(
    ("apart", "words"), [(0.05, "0.05 apart"), (31.4, "31.40, the standard deviation between points, apart")]
)
def test_a_difference_that_is_not_a_twentieth_is_named(apart: float, words: str):
    assert words in seeds_needed(analysed(seeds=SeedsNeeded(apart, 3, 2, 9)))

"""How much of a score is signal, in words."""

import math

from vgsearch.experiment.ledger import SweepRecord
from vgsearch.experiment.objective import LABELS
from vgsearch.experiment.signal import has_several_seeds, signal_of_search
from vgsearch.terminal.words import number
from videogan.metrics.retraining_noise import APART, MOST_SEEDS, RetrainingNoise


def search_signal_lines(record: SweepRecord) -> list[str]:
    """A line for each objective of a search that trains its points with several seeds; otherwise none."""
    if not has_several_seeds(record):
        return []
    return [f"signal  {signal_line(name, noise, 'points')}" for name, noise in signal_of_search(record).items()]


def signal_line(name: str, noise: RetrainingNoise, points: str) -> str:
    """62 % [20, 91] of the variance in S3 is between points, the rest is retraining; and how many seeds it takes."""
    if math.isnan(noise.icc.mean):
        return f"unknown for {LABELS[name]}: {noise.reason}"
    between = f"{share_between(noise)} of the variance in {LABELS[name]} is between {points}, the rest is retraining"
    if noise.seeds is None:
        return f"{between}; the seeds that tell two points apart are unknown: {noise.reason}"
    return f"{between}; {seeds_needed(noise, ' seeds a point')}"


def share_between(noise: RetrainingNoise) -> str:
    """62 % [20, 91]"""
    mean, low, high = (number(100 * part, ".0f") for part in noise.share)
    return f"{mean} % [{low}, {high}]"


def seeds_needed(noise: RetrainingNoise, unit: str = "") -> str:
    """9 [5, 30] tell two points 0.05 apart (two-sided 5 %, power .8); or why this is unknown.

    For a score without a scale: two points that differ by the standard deviation between points.
    """
    if noise.seeds is None:
        return f"unknown: {noise.reason}"
    needed = noise.seeds
    n, low, high = (_count(part) for part in (needed.n, needed.low, needed.high))
    what = "" if needed.apart == APART else ", the standard deviation between points,"
    return f"{n} [{low}, {high}]{unit} tell two points {number(needed.apart)}{what} apart (two-sided 5 %, power .8)"


def _count(n: int | None) -> str:
    return f"over {MOST_SEEDS:,}" if n is None else f"{n:,}"

"""What simulated searches of recorded trials found: medians, ranks, and which sampler leads; how proposals spread."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vgsearch.replay.intervals import (
    N_BOOTSTRAPS,
    bootstrap_interval,
    mean_interval,
    median_interval,
    rank_correlation,
)
from vgsearch.replay.recorded import RecordedTrials
from videogan.metrics.interval import Interval

ROUNDING = 1e-9
"""Of a sum of probabilities."""


@dataclass(frozen=True)
class SearchSetting:
    """How a simulated search proposes: its sampler, whether from the paper's point on, how many trials at once."""

    sampler: str
    paper_first: bool
    at_once: int


@dataclass(frozen=True)
class Found:
    """The best of the first `after` trials over the repeats of a search."""

    setting: SearchSetting
    after: int
    best: Interval
    """The median of the objective's best value, with its interval by order statistics."""
    rank: Interval
    """The mean rank of the best trial among all of the table, with its interval by bootstrap over repeats."""
    leads: bool
    """Whether its mean rank is better than that of each other sampler, by paired bootstrap over the repeats, and better
    than that of any order; never in a table that teaches nothing."""


@dataclass(frozen=True)
class AnyOrder:
    """The best of the first `after` trials in random order, exactly: what a search finds if points do not matter."""

    paper_first: bool
    after: int
    best: float
    """The median of the objective's best value."""
    rank: float
    """The mean rank of the best trial."""


@dataclass(frozen=True)
class Spread:
    """How far apart proposals are that wait for their scores together, relative to random proposals."""

    sampler: str
    at_once: int
    together: Interval
    """Proposals that know of one another, as in a search."""
    alone: Interval
    """Proposals from the same history that do not: the clustering that a sampler would have if it ignored others."""


@dataclass(frozen=True)
class Searches:
    """The answer of a replay about samplers."""

    repeats: int
    n_startup_trials: int
    """Trials that tpe and gp draw at random before they model the rest."""
    found: Sequence[Found]
    any_order: Sequence[AnyOrder]
    neighbours: Interval
    """Rank correlation of a trial's score with that of the nearest other. Unless it is above 0 with its whole interval,
    the table may teach a sampler nothing, and nobody leads."""
    spreads: Sequence[Spread]
    spread_repeats: int
    refused: Mapping[str, str]
    """Samplers that can't search the space, and why."""


def found_by(
    recorded: RecordedTrials,
    orders: Mapping[SearchSetting, np.ndarray],
    after: Sequence[int],
    seed: int,
    teaches: bool = True,
) -> list[Found]:
    """The best of searches that finished rows in `orders`, (repeats, trials); repeat r has the same seed in each.

    `teaches`: whether a sampler can learn from the table; otherwise a lead would be an accident of where its points
    lie, and nobody leads.
    """
    cells = []
    for n in after:
        chance = {start: any_order(recorded, n, start).rank for start in {each.paper_first for each in orders}}
        ranks = {setting: recorded.ranks[order[:, :n]].min(axis=1) for setting, order in orders.items()}
        for setting, order in orders.items():
            losses = recorded.losses[order[:, :n]].min(axis=1)
            values = -losses if recorded.objective.direction == "maximize" else losses
            rivals = [ranks[other] for other in orders if _are_rivals(setting, other)]
            rank = mean_interval(ranks[setting], seed)
            leads = bool(rivals) and all(_is_lower(ranks[setting], rival, seed) for rival in rivals)
            leads = leads and teaches and rank.high < chance[setting.paper_first]
            cells.append(Found(setting, n, median_interval(values), rank, leads))
    return cells


def any_order(recorded: RecordedTrials, after: int, paper_first: bool) -> AnyOrder:
    """The best of `after` trials drawn without replacement, after the paper's points if these are first.

    Of n trials from best to worst, the k-th is the best of m draws with probability C(n - k, m - 1) / C(n, m).
    """
    starts = recorded.paper_starts if paper_first else [[]]
    chances = np.zeros(len(recorded.trials))
    for start in starts:
        chances += _chances_of_best(recorded, after, start[:after]) / len(starts)
    by_loss = np.argsort(recorded.losses, kind="stable")
    median = int(by_loss[int(np.searchsorted(np.cumsum(chances[by_loss]), 0.5 - ROUNDING))])
    rank = float(chances @ recorded.ranks)
    return AnyOrder(paper_first, after, recorded.objective.value_of(recorded.trials[median].scores), rank)


def _chances_of_best(recorded: RecordedTrials, after: int, first: Sequence[int]) -> np.ndarray:
    """For each row (rows) the probability that it is the best of `after` trials that start with the rows `first`."""
    chances = np.zeros(len(recorded.trials))
    by_loss = [int(row) for row in np.argsort(recorded.losses, kind="stable")]
    rows, m = [row for row in by_loss if row not in first], after - len(first)
    if m == 0:
        chances[min(first, key=by_loss.index)] = 1
        return chances
    for k, row in enumerate(rows, start=1):
        best = min([row, *first], key=lambda each: recorded.losses[each])
        chances[best] += math.comb(len(rows) - k, m - 1) / math.comb(len(rows), m)
    return chances


def neighbours_correlation(recorded: RecordedTrials, seed: int) -> Interval:
    """Spearman's correlation of a trial's score with that of the nearest other trial; bootstrap over trials."""
    one, other = recorded.losses, recorded.losses[recorded.neighbours]
    drawn = np.random.default_rng(seed).integers(len(one), size=(N_BOOTSTRAPS, len(one)))
    resampled = np.array([rank_correlation(one[rows], other[rows]) for rows in drawn])
    return bootstrap_interval(rank_correlation(one, other), resampled)


def _are_rivals(one: SearchSetting, other: SearchSetting) -> bool:
    return one.sampler != other.sampler and (one.paper_first, one.at_once) == (other.paper_first, other.at_once)


def _is_lower(one: np.ndarray, other: np.ndarray, seed: int) -> bool:
    """Whether the mean of one (n) is below that of other (n), paired, with 95 % of the bootstraps on that side."""
    return mean_interval(other - one, seed).low > 0


def spread_of(
    sampler: str, at_once: int, together: np.ndarray, alone: np.ndarray, random: np.ndarray, seed: int
) -> Spread:
    """Mean distances (repeats) relative to those of random proposals (repeats), with intervals by bootstrap."""
    drawn = np.random.default_rng(seed).integers(len(random), size=(N_BOOTSTRAPS, len(random)))
    base, resampled = random.mean(), random[drawn].mean(axis=1)
    relative = (
        bootstrap_interval(float(apart.mean() / base), apart[drawn].mean(axis=1) / resampled)
        for apart in (together, alone)
    )
    return Spread(sampler, at_once, *relative)

"""What simulated searches of recorded trials found: medians, ranks, and which sampler leads; how proposals spread."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vgsearch.replay.intervals import N_BOOTSTRAPS, bootstrap_interval, mean_interval, median_interval
from vgsearch.replay.recorded import RecordedTrials
from videogan.metrics.interval import Interval


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
    """Whether its mean rank is better than that of each other sampler, by paired bootstrap over the repeats."""


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
    spreads: Sequence[Spread]
    spread_repeats: int
    refused: Mapping[str, str]
    """Samplers that can't search the space, and why."""


def found_by(
    recorded: RecordedTrials, orders: Mapping[SearchSetting, np.ndarray], after: Sequence[int], seed: int
) -> list[Found]:
    """The best of searches that finished rows in `orders`, (repeats, trials); repeat r has the same seed in each."""
    cells = []
    for n in after:
        ranks = {setting: recorded.ranks[order[:, :n]].min(axis=1) for setting, order in orders.items()}
        for setting, order in orders.items():
            losses = recorded.losses[order[:, :n]].min(axis=1)
            values = -losses if recorded.objective.direction == "maximize" else losses
            rivals = [ranks[other] for other in orders if _are_rivals(setting, other)]
            leads = bool(rivals) and all(_is_lower(ranks[setting], rival, seed) for rival in rivals)
            cells.append(Found(setting, n, median_interval(values), mean_interval(ranks[setting], seed), leads))
    return cells


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

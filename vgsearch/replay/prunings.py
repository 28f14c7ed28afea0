"""What pruners would have done to unpruned trials: steps saved, best trials lost, regret; how well looks predict."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vgsearch.replay.intervals import N_BOOTSTRAPS, bootstrap_interval, rank_correlation
from vgsearch.replay.recorded import LEAST_TRIALS, RecordedTrials
from videogan.config import ConfigurationError
from videogan.metrics.interval import Interval

MOST_LOST = 0.1
"""A setting that may be marked loses the best trial in at most this share of sweeps, its whole interval included."""


@dataclass(frozen=True)
class WatchedTrials:
    """Recorded trials that have every look, of equally many steps."""

    n_steps: int
    steps: Sequence[int]
    """The steps of the looks."""
    looks: np.ndarray
    """(n, looks); larger is better."""
    losses: np.ndarray
    """The final objective (n), with the sign that makes smaller better."""
    n_left_out: int
    """Done trials that lack a look, or have one without a value."""


@dataclass(frozen=True)
class PruningSetting:
    """A pruner, and the steps before which it prunes no trial."""

    pruner: str
    warm_up: int


@dataclass(frozen=True)
class LookCorrelation:
    """Spearman's rank correlation of the looks after `step` steps with the final score, by bootstrap over trials."""

    step: int
    look: Interval
    smoothed: Interval
    """Of the running mean of looks, which the pruner reads."""


@dataclass(frozen=True)
class Pruned:
    """What a pruner does to the trials in random order; means over repeats, intervals by bootstrap over both."""

    setting: PruningSetting
    saved: Interval
    """Share of the steps of all trials that are not trained."""
    lost: Interval
    """Share of repeats in which the best trial is pruned, and each that equals it."""
    regret: Interval
    """The best final score of all trials minus the best of those kept, in units of the objective."""
    leads: bool = False
    """Whether it saves the most of the settings that rarely lose the best trial; see `marked`."""


@dataclass(frozen=True)
class Prunings:
    """The answer of a replay about pruners."""

    trials: WatchedTrials
    repeats: int
    smoothing: int
    correlations: Sequence[LookCorrelation]
    pruned: Sequence[Pruned]


def watched(name: str, recorded: RecordedTrials) -> WatchedTrials:
    """The recorded trials that have the same looks as most; raises ConfigurationError for fewer than 8 or no looks."""
    when = {trial.trial_id: (trial.n_steps, *sorted(trial.looks)) for trial in recorded.trials}
    (n_steps, *steps), _ = Counter(when.values()).most_common(1)[0]
    if not steps:
        raise ConfigurationError(
            f"{name}: most of its done trials have no looks, so pruners can't be replayed; ask for samplers only: "
            "--sampler tpe --sampler random."
        )
    rows = [row for row, trial in enumerate(recorded.trials) if when[trial.trial_id] == (n_steps, *steps)]
    looks = np.array([[recorded.trials[row].looks[step] for step in steps] for row in rows], dtype=float)
    whole = np.isfinite(looks).all(axis=1)
    if whole.sum() < LEAST_TRIALS:
        raise ConfigurationError(
            f"{name}: pruners are replayed on at least {LEAST_TRIALS} done trials with every look, found {whole.sum()} "
            f"of {len(recorded.trials)}; ask for samplers only: --sampler tpe --sampler random."
        )
    return WatchedTrials(n_steps, steps, looks[whole], recorded.losses[rows][whole], len(recorded.trials) - whole.sum())


def correlations(trials: WatchedTrials, smoothed: np.ndarray, seed: int) -> list[LookCorrelation]:
    """The rank correlation of each look with the final score; `smoothed` (n, looks), larger is better."""
    n = len(trials.losses)
    drawn = np.random.default_rng(seed).integers(n, size=(N_BOOTSTRAPS, n))

    def measured(looks: np.ndarray) -> Interval:
        resampled = np.array([rank_correlation(looks[rows], -trials.losses[rows]) for rows in drawn])
        return bootstrap_interval(rank_correlation(looks, -trials.losses), resampled)

    return [
        LookCorrelation(step, measured(trials.looks[:, k]), measured(smoothed[:, k]))
        for k, step in enumerate(trials.steps)
    ]


def pruned_by(trials: WatchedTrials, ended: Mapping[PruningSetting, np.ndarray], seed: int) -> list[Pruned]:
    """What each setting did: `ended` has the step at which a trial was pruned, 0 if it was not, (repeats, n)."""
    rng = np.random.default_rng(seed)
    repeats, n = next(iter(ended.values())).shape
    # The same resamples for each setting, so that differences between settings are paired.
    drawn = [(rng.integers(repeats, size=repeats), rng.integers(n, size=n)) for _ in range(N_BOOTSTRAPS)]
    found, saved_in = list[Pruned](), dict[PruningSetting, np.ndarray]()
    for setting, steps in ended.items():
        means = _measures(trials, steps, trials.losses)
        resampled = np.array([_measures(trials, steps[np.ix_(r, rows)], trials.losses[rows]) for r, rows in drawn])
        saved_in[setting] = resampled[:, 0]
        saved, lost, regret = (bootstrap_interval(mean, each) for mean, each in zip(means, resampled.T, strict=True))
        found.append(Pruned(setting, saved, lost, regret))
    return marked(found, saved_in)


def _measures(trials: WatchedTrials, steps: np.ndarray, losses: np.ndarray) -> tuple[float, float, float]:
    """Share of steps saved, share of repeats that lose the best trial, mean regret; of repeats that keep a trial."""
    saved = 1 - np.where(steps > 0, steps, trials.n_steps).mean() / trials.n_steps
    kept = np.where(steps > 0, np.inf, losses).min(axis=1)
    # Only a resample, which may lack a search's first trials, can have kept none.
    regrets = kept[np.isfinite(kept)] - losses.min()
    if not len(regrets):
        return float(saved), np.nan, np.nan
    return float(saved), float((regrets > 0).mean()), float(regrets.mean())


def marked(found: Iterable[Pruned], saved_in: Mapping[PruningSetting, np.ndarray]) -> list[Pruned]:
    """The results, with `leads` for the one that saves the most at little risk, if the intervals support that.

    Little risk: the interval of `lost` ends at 10 % or below. Supported: in 97.5 % of the bootstraps it saves more than
    each other setting of little risk. `saved_in`: the steps saved in each bootstrap.
    """
    found = list(found)
    safe = [each for each in found if each.lost.high <= MOST_LOST]
    best = max(safe, key=lambda each: each.saved.mean, default=None)
    if best is None or best.saved.low <= 0:
        return found
    others = [saved_in[best.setting] - saved_in[each.setting] for each in safe if each is not best]
    supported = all(np.quantile(more, 0.025) > 0 for more in others)
    return [Pruned(each.setting, each.saved, each.lost, each.regret, supported and each is best) for each in found]

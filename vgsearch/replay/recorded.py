"""The done trials of one or more finished sweeps, as the table that simulated searches look up."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from vgsearch.experiment.ledger import SweepRecord, TrialRecord
from vgsearch.experiment.objective import COST, Objective
from vgsearch.space.distance import coordinates, distances
from vgsearch.space.domains import Domain
from vgsearch.space.sweep import Sweep
from videogan.config import ConfigurationError

LEAST_TRIALS = 8
"""Done trials that a replay needs: below, a table has nothing to find, and no order of trials differs from another."""


@dataclass(frozen=True)
class RecordedTrials:
    """Done trials with their points and scores: rows of a table. The order is that of the sweep."""

    objective: Objective
    domains: Mapping[str, Domain]
    trials: Sequence[TrialRecord]
    left_out: Mapping[str, int]
    """How many recorded trials are no rows, by reason."""
    known: Sequence[Mapping[str, Any]] = ()
    """The known trials that the sweep's study started with, as ledger entries; no rows."""

    @cached_property
    def losses(self) -> np.ndarray:
        """The objective of each row (n), with the sign that makes smaller better."""
        return np.array([self.objective.loss(trial.scores) for trial in self.trials])

    @cached_property
    def ranks(self) -> np.ndarray:
        """The rank of each row (n) by its score: 1 for the best, equal rows have the better of their ranks."""
        return 1 + (self.losses[:, None] > self.losses).sum(axis=1)

    @cached_property
    def coordinates(self) -> np.ndarray:
        """The rows' points as numbers (n, domains, 2)."""
        return coordinates([trial.overrides for trial in self.trials], self.domains)

    @property
    def paper_rows(self) -> list[int]:
        """The rows of the paper's points."""
        return [row for row, trial in enumerate(self.trials) if trial.is_paper_point]

    @property
    def paper_starts(self) -> list[list[int]]:
        """The rows that a search from the paper's points on can start with: in a table of several sweeps, those of one
        of them; empty without a row of a paper's point."""
        trainings: dict[str, list[int]] = {}
        for row in self.paper_rows:
            trainings.setdefault(str(sorted(self.trials[row].overrides.items())), []).append(row)
        n = min(map(len, trainings.values()), default=0)
        return [[rows[k] for rows in trainings.values()] for k in range(n)]

    @property
    def neighbours(self) -> np.ndarray:
        """For each row (n) the row nearest to it."""
        every = np.ones(len(self.trials), dtype=bool)
        others = [every & (np.arange(len(every)) != row) for row in range(len(every))]
        return np.array([self.nearest(each.overrides, left) for each, left in zip(self.trials, others, strict=True)])

    def nearest(self, point: Mapping[str, Any], unused: np.ndarray) -> int:
        """The row, among the `unused` ones (n, bool), whose point is nearest; the first of equally near ones."""
        apart = distances(coordinates([point], self.domains)[0], self.coordinates)
        return int(np.where(unused, apart, np.inf).argmin())


@dataclass(frozen=True)
class FinishedSweep:
    """A sweep and what its ledger records."""

    name: str
    """The experiment's, for messages."""
    sweep: Sweep
    record: SweepRecord


def joined(sweeps: Sequence[FinishedSweep]) -> FinishedSweep:
    """Several sweeps of one search, each with another seed, as one; its trials are called EXP/TRIAL.

    Raises ConfigurationError for sweeps whose trials do not compare: of another space, budget, setting or data set.
    """
    first, *others = sweeps
    if not others:
        return first
    for other in others:
        theirs = _search_of(other.sweep)
        if differing := [what for what, value in _search_of(first.sweep).items() if value != theirs[what]]:
            raise ConfigurationError(
                f"{other.name}: sweeps replayed together may differ only in their seed, but the {differing[0]} is not "
                f"that of {first.name}; replay it alone."
            )
    renamed = (
        replace(trial, trial_id=f"{each.name}/{trial.trial_id}")
        for each in sweeps
        for trial in each.record.trials.values()
    )
    record = replace(first.record, trials={trial.trial_id: trial for trial in renamed})
    return FinishedSweep(f"{first.name} and {len(others)} more", first.sweep, record)


def _search_of(sweep: Sweep) -> Mapping[str, Any]:
    """What two sweeps must agree in."""
    return {
        "space": sweep.space,
        "budget": sweep.budget,
        "data set": sweep.manifest_digest,
        "set of --set values": sweep.overrides,
        "scored split": sweep.scored,
        "number of seeds per trial": (sweep.seeds_per_trial, sweep.racing),
    }


def recorded_trials(name: str, sweep: Sweep, record: SweepRecord) -> RecordedTrials:
    """The table of a sweep's done trials, by its first objective that is not the cost.

    Raises ConfigurationError, which says the counts, for fewer than 8; `name` is the experiment's in errors.
    """
    objective = next(each for each in record.objectives if each.name != COST)
    reasons = {trial.trial_id: _unfit(trial, sweep, record, objective) for trial in record.trials.values()}
    rows = [trial for trial in record.trials.values() if not reasons[trial.trial_id]]
    left_out = Counter(reason for reason in reasons.values() if reason)
    if len(rows) < LEAST_TRIALS:
        raise ConfigurationError(
            f"{name}: a replay needs at least {LEAST_TRIALS} done trials, found {len(rows)}"
            f"{f' ({listed(left_out)})' if left_out else ''}; let the sweep run on with vgsearch resume {shlex.quote(name)} "
            "--trials +N, or start one with vgsearch tune --no-pruning."
        )
    return RecordedTrials(objective, sweep.domains, rows, left_out, record.known or ())


def _unfit(trial: TrialRecord, sweep: Sweep, record: SweepRecord, objective: Objective) -> str:
    """Why a trial can be no row of the table; empty if it can."""
    if trial.state != "done":
        return trial.state
    if objective.name not in trial.scores:
        return f"without {objective.name}"
    if not record.may_be_best(trial):
        return "with copies of training clips"
    inside = all(path in sweep.domains and value in sweep.domains[path] for path, value in trial.overrides.items())
    return "" if inside else "outside the search space"


def listed(left_out: Mapping[str, int]) -> str:
    """6 pruned, 1 diverged."""
    return ", ".join(f"{n} {reason}" for reason, n in left_out.items())

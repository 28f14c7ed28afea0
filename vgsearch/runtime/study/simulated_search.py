"""Simulated searches: the sampler of a sweep proposes, and a table of recorded trials answers with the nearest one."""

from collections import deque

import numpy as np
import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from vgsearch.replay.recorded import RecordedTrials
from vgsearch.runtime.study.samplers import IndexedSampler, suggest_all
from vgsearch.runtime.study.study import new_study
from vgsearch.runtime.study.warm_start import KnownTrial, add_known, as_entries
from vgsearch.space.distance import coordinates, mean_distance
from vgsearch.space.sweep import Sweep


def simulated_search(
    sweep: Sweep, recorded: RecordedTrials, n_trials: int, at_once: int, paper_first: bool
) -> list[int]:
    """The rows that a search of `n_trials` finishes, in order; random by the sweep's seed alone.

    At each proposal the nearest row not used before takes its place, so that the study learns from points and scores
    that belong together. `at_once` trials run; all take equally long, so the oldest ends when the next one starts.
    """
    search = TableSearch(sweep, recorded)
    starts = recorded.paper_starts if paper_first else [[]]
    first = starts[sweep.seed % len(starts)]
    running: deque[tuple[optuna.Trial, int]] = deque()
    finished = list[int]()
    for index in range(n_trials):
        if len(running) == at_once:
            finished.append(search.finish(*running.popleft()))
        running.append(search.start(index, first[index] if index < len(first) else None))
    return finished + [search.finish(*each) for each in running]


class TableSearch:
    """One study of the sweep in memory, with its known trials, and the rows of the table that it has used."""

    def __init__(self, sweep: Sweep, recorded: RecordedTrials) -> None:
        self.study, self._searched, self._recorded = new_study(InMemoryStorage(), sweep), sweep.searched, recorded
        add_known(self.study, sweep, recorded.known)
        self._unused = np.ones(len(recorded.trials), dtype=bool)

    def start(self, index: int, row: int | None) -> tuple[optuna.Trial, int]:
        """Start the trial of a row or, if that is None, of the row nearest to what the sampler proposes."""
        trial = self.study.ask()
        sampler = _sampler(self.study)
        if row is None:
            row = self._recorded.nearest(sampler.proposal(trial, index), self._unused)
        self._unused[row] = False
        sampler.begin(index, self._recorded.trials[row].overrides)
        suggest_all(trial, self._searched)
        return trial, row

    def finish(self, trial: optuna.Trial, row: int) -> int:
        """Tell the study the row's own score."""
        self.study.tell(trial, self._recorded.objective.value_of(self._recorded.trials[row].scores))
        return row


def _sampler(study: optuna.Study) -> IndexedSampler:
    assert isinstance(study.sampler, IndexedSampler), "study.new_study sets it"
    return study.sampler


def distance_between_proposals(sweep: Sweep, recorded: RecordedTrials, n: int, told: bool) -> float:
    """The mean distance (Gower's) between `n` proposals of a study in which every recorded trial is done.

    `told`: each proposal is a running trial when the next is drawn, as in a search with n trials at once; otherwise no
    proposal knows of another. Random by the sweep's seed alone.
    """
    study = new_study(InMemoryStorage(), sweep)
    add_known(study, sweep, recorded.known)
    done = [KnownTrial("recorded", trial.trial_id, trial.overrides, trial.scores, []) for trial in recorded.trials]
    add_known(study, sweep, as_entries(done))
    points = []
    for index in range(len(done), len(done) + n):
        _sampler(study).begin(index)
        trial = study.ask()
        points.append(suggest_all(trial, sweep.searched))
        if not told:  # samplers do not see failed trials
            study.tell(trial, state=TrialState.FAIL)
    return mean_distance(coordinates(points, sweep.domains))

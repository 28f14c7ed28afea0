"""A simulated search is the search of tune, with a table of recorded trials in place of training."""

from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

from tests.builders import SIGMA_A, budgets_of, three_domains, tiny_sweep
from tests.recorded_trials import events_of, near_the_paper, record_of
from vgsearch.experiment.ledger import SweepRecord
from vgsearch.replay.recorded import RecordedTrials, recorded_trials
from vgsearch.runtime.study.samplers import suggest_all
from vgsearch.runtime.study.simulated_search import TableSearch, distance_between_proposals, simulated_search
from vgsearch.runtime.study.study import sampler_of
from vgsearch.space.space import load_space
from vgsearch.space.sweep import Sweep

N = 20


def a_sweep(sampler: str = "tpe", **settings: Any) -> Sweep:
    startup = {"n_startup_trials": 4 if sampler == "tpe" else 10}
    return tiny_sweep(three_domains(), limits={"sampler": sampler, **startup}, **settings)


def a_record(sweep: Sweep) -> SweepRecord:
    return record_of(events_of(sweep, N, near_the_paper))


@pytest.fixture(scope="module")
def table() -> RecordedTrials:
    return recorded_trials("a", a_sweep(), a_record(a_sweep()))


@pytest.mark.parametrize("at_once", [1, 3, 64])
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_search_takes_each_recorded_trial_once_and_is_a_function_of_the_seed(table, sampler: str, at_once: int):
    searches = [simulated_search(a_sweep(sampler, seed=seed), table, N, at_once, False) for seed in (0, 0, 1)]
    assert all(sorted(rows) == list(range(N)) for rows in searches)
    assert searches[0] == searches[1] != searches[2]


def test_a_shorter_search_is_the_beginning_of_a_longer_one(table):
    assert simulated_search(a_sweep(), table, 8, 3, False) == simulated_search(a_sweep(), table, 16, 3, False)[:8]


def test_the_papers_point_is_first_only_if_asked_for(table):
    assert simulated_search(a_sweep(), table, 5, 2, True)[0] == 0
    assert {simulated_search(a_sweep(seed=seed), table, 1, 1, False)[0] for seed in range(8)} != {0}


def test_the_study_learns_points_and_scores_that_belong_together(table):
    search = TableSearch(a_sweep(), table)
    rows = [search.finish(*search.start(index, None)) for index in range(N)]
    for trial, row in zip(search.study.trials, rows, strict=True):
        recorded = table.trials[row]
        assert {path: trial.params[path] for path in recorded.overrides} == recorded.overrides
        assert trial.value == recorded.scores["s3"]


def test_it_proposes_what_the_sampler_of_tune_proposes_after_the_same_trials(table):
    search = TableSearch(a_sweep(), table)
    for index in range(8):
        search.finish(*search.start(index, index))
    search.study.sampler = sampler = sampler_of(a_sweep())
    expected = sampler.proposal(search.study.ask(), 8)
    search.study.tell(8, state=TrialState.FAIL)
    sampler.begin(8)
    assert suggest_all(search.study.ask(), a_sweep().searched) == expected
    assert table.nearest(expected, np.arange(N) >= 8) == search.start(8, None)[1]


def test_before_the_first_score_every_sampler_draws_at_random(table):
    random, tpe = (simulated_search(a_sweep(sampler), table, 12, 8, True) for sampler in ("random", "tpe"))
    assert random[:8] == tpe[:8]
    assert random != tpe


def test_a_search_starts_with_the_known_trials_of_the_sweep():
    known = [
        {"experiment": "b", "trial_id": f"t{k}", "overrides": trial.overrides, "scores": trial.scores, "looks": []}
        for k, trial in enumerate(a_record(a_sweep()).trials.values())
    ]
    record = a_record(a_sweep())
    record.known = known
    warm = recorded_trials("a", a_sweep(), record)
    assert len(warm.trials) == N, "known trials are no rows"
    assert len(TableSearch(a_sweep(), warm).study.trials) == N
    cold = recorded_trials("a", a_sweep(), a_record(a_sweep()))
    assert simulated_search(a_sweep(), warm, 4, 1, False) != simulated_search(a_sweep(), cold, 4, 1, False)


def test_proposals_that_know_of_one_another_keep_apart_and_random_ones_do_not_care():
    values, numbers = load_space("mvt_tsa").model_dump(), (SIGMA_A, "optimiser.lr_g")
    (point,) = values["paper_points"]
    values |= {"domains": {path: values["domains"][path] for path in numbers}, "constraints": []}
    values |= {"paper_points": [{path: point[path] for path in numbers}]}
    values |= {"budgets": budgets_of(values, values["domains"])}
    table = recorded_trials("a", tiny_sweep(values), a_record(tiny_sweep(values)))

    def mean(sampler: str, told: bool) -> float:
        sweeps = [tiny_sweep(values, limits={"sampler": sampler, "n_startup_trials": 10}, seed=s) for s in range(6)]
        return float(np.mean([distance_between_proposals(sweep, table, 8, told) for sweep in sweeps]))

    assert mean("random", True) == mean("random", False)
    assert 1.5 * mean("tpe", False) < mean("tpe", True) < mean("random", True)

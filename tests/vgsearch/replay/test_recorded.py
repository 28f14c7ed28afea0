"""The table of a sweep's trials: which are rows, how they are ranked, which is nearest, and what is refused."""

import math
from typing import Any

import numpy as np
import pytest

from tests.builders import CONSTRAINT, N_CLIP, SIGMA_A, three_domains, tiny_sweep
from tests.recorded_trials import events_of, near_the_paper, record_of
from vgsearch.experiment.ledger import SweepRecord
from vgsearch.experiment.score import CopyShare, Score
from vgsearch.replay.notes import notes_on_trials
from vgsearch.replay.prunings import watched
from vgsearch.replay.recorded import FinishedSweep, joined, recorded_trials
from vgsearch.replay.request import ReplayRequest
from vgsearch.replay.searches import any_order
from vgsearch.space.sweep import Sweep
from videogan.config import ConfigurationError


def a_sweep(objective: Any = "s3", **settings: Any) -> Sweep:
    return tiny_sweep(three_domains(), overrides={"evaluation.objective": objective}, **settings)


def a_record(n: int, sweep: Sweep | None = None) -> SweepRecord:
    return record_of(events_of(sweep or a_sweep(), n, near_the_paper))


def with_ends(record: SweepRecord, **states: str) -> SweepRecord:
    """The record with other ends for some trials, such as t0003="pruned"."""
    for trial, state in states.items():
        record.trials[f"{trial}-aaaaaa"].state = state
    return record


def test_only_done_trials_are_rows_and_the_rest_is_counted_by_reason():
    record = with_ends(a_record(13), t0001="pruned", t0002="pruned", t0003="diverged")
    outside, without = record.trials["t0004-aaaaaa"], record.trials["t0005-aaaaaa"]
    outside.overrides = outside.overrides | {SIGMA_A: 99.0}
    without.scores = {"fid": 3.0}
    table = recorded_trials("runs/a", a_sweep(), record)
    assert [trial.index for trial in table.trials] == [0, *range(6, 13)]
    assert table.left_out == {"pruned": 2, "diverged": 1, "outside the search space": 1, "without s3": 1}
    assert table.paper_rows == [0]
    assert notes_on_trials(a_sweep(), record, table)[0] == (
        "not in the table: 2 pruned, 1 diverged, 1 outside the search space, 1 without s3; the space has worse points "
        "than the table."
    )


def test_a_trial_that_copies_training_clips_is_no_row_because_it_could_not_be_best():
    record = a_record(9)
    trial = record.trials["t0008-aaaaaa"]
    trial.score = Score(copies=CopyShare(share=0.5, limit=0.05))
    assert recorded_trials("runs/a", a_sweep(), record).left_out == {"with copies of training clips": 1}
    record.header["best_may_copy"] = True
    assert len(recorded_trials("runs/a", a_sweep(), record).trials) == 9


def test_fewer_than_eight_done_trials_are_refused_with_what_became_of_the_others():
    record = with_ends(a_record(9), t0001="pruned", t0002="failed")
    with pytest.raises(
        ConfigurationError, match=r"^runs/a: .* 8 done trials, found 7 \(1 pruned, 1 failed\)"
    ) as caught:
        recorded_trials("runs/a", a_sweep(), record)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("objective", ["s3", "-kvd"])
def test_rank_one_is_the_best_in_the_direction_of_the_objective_and_ties_share_a_rank(objective: str):
    sweep = a_sweep(objective)
    scores = iter([5.0, 3.0, 3.0, 9.0, 1.0, 7.0, 8.0, 6.0])
    record = record_of(events_of(sweep, 8, lambda point: next(scores)))
    ranks = recorded_trials("runs/a", sweep, record).ranks.tolist()
    assert ranks == ([5, 6, 6, 1, 8, 3, 2, 4] if objective == "s3" else [4, 2, 2, 8, 1, 6, 7, 5])


def test_the_nearest_unused_row_is_the_point_itself_until_it_is_used():
    table = recorded_trials("runs/a", a_sweep(), a_record(12))
    unused = np.ones(12, dtype=bool)
    for row, trial in enumerate(table.trials):
        assert table.nearest(trial.overrides, unused) == row
    unused[3] = False
    assert table.nearest(table.trials[3].overrides, unused) != 3
    only = np.zeros(12, dtype=bool)
    only[7] = True
    assert table.nearest({SIGMA_A: 0.2, CONSTRAINT: "svc", N_CLIP: 5}, only) == 7


def test_of_two_objectives_the_first_that_is_no_cost_counts_and_a_note_says_so():
    sweep = a_sweep(["-cost", "s3"], seeds_per_trial=3)
    record = a_record(9, sweep)
    for trial in record.trials.values():
        trial.scores["s3"] = trial.index / 10
    table = recorded_trials("runs/a", sweep, record)
    assert table.ranks[-1] == 1
    notes = " ".join(notes_on_trials(sweep, record, table))
    assert "searched for -cost and s3; the replay uses s3 alone." in notes
    assert "each score is the mean of 3 trainings; looks are those of the first." in notes


def test_trials_without_every_look_are_counted_and_fewer_than_eight_refused():
    record = a_record(10)
    del record.trials["t0001-aaaaaa"].looks[50]
    record.trials["t0002-aaaaaa"].looks[75] = math.nan
    trials = watched("runs/a", recorded_trials("runs/a", a_sweep(), record))
    assert (len(trials.losses), trials.n_left_out, trials.n_steps) == (8, 2, 200)
    assert np.isfinite(trials.looks).all()
    record.trials["t0003-aaaaaa"].looks.clear()
    with pytest.raises(ConfigurationError, match="8 done trials with every look, found 7 of 10; ask for samplers only"):
        watched("runs/a", recorded_trials("runs/a", a_sweep(), record))
    for trial in record.trials.values():
        trial.looks.clear()
    with pytest.raises(ConfigurationError, match="have no looks, so pruners can't be replayed"):
        watched("runs/a", recorded_trials("runs/a", a_sweep(), record))


def test_a_request_names_what_exists_and_numbers_that_the_table_can_carry():
    table = recorded_trials("runs/a", a_sweep(), a_record(20))
    assert ReplayRequest().after_in(table) == (8, 16)
    assert ReplayRequest().after_in(recorded_trials("runs/a", a_sweep(), a_record(8))) == (4,)
    asked = ReplayRequest.of(["tpe"], [], "5,3", "1", 20, 0)
    assert (asked.samplers, asked.pruners, asked.after_in(table)) == (("tpe",), (), (3, 5))
    assert ReplayRequest.of([], ["median"], "", "1", 20, 0).samplers == ()
    for arguments, message in (
        ((["tpee"], [], "", "1", 20, 0), "--sampler: there is no 'tpee' to replay; did you mean 'tpe'"),
        (([], ["halving"], "", "1", 20, 0), "--pruner: there is no 'halving' to replay"),
        (([], [], "8,,9", "1", 20, 0), "--trials must be numbers above 0 .* got '8,,9'"),
        (([], [], "", "0", 20, 0), "--parallel must be numbers above 0"),
        (([], [], "", "1", 19, 0), "--repeats must be at least 20, got 19"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            ReplayRequest.of(*arguments)
    with pytest.raises(ConfigurationError, match="--trials 20: the table has 20 trials"):
        ReplayRequest.of([], [], "8,20", "1", 20, 0).after_in(table)


def finished(name: str, n: int, seed: int, **settings: Any) -> FinishedSweep:
    sweep = a_sweep(seed=seed, **settings)
    return FinishedSweep(name, sweep, record_of(events_of(sweep, n, near_the_paper, seed=seed)))


def test_searches_with_other_seeds_are_one_table_in_which_each_trial_has_its_experiments_name():
    both = joined([finished("runs/a", 9, 0), finished("runs/b", 5, 1)])
    table = recorded_trials(both.name, both.sweep, both.record)
    assert [trial.trial_id for trial in table.trials][7:11] == [
        "runs/a/t0007-aaaaaa",
        "runs/a/t0008-aaaaaa",
        "runs/b/t0000-aaaaaa",
        "runs/b/t0001-aaaaaa",
    ]
    assert table.paper_rows == [0, 9]
    assert table.paper_starts == [[0], [9]], "a search starts with one training of the paper's point"


def test_any_order_from_the_papers_point_is_the_mean_over_its_trainings():
    both = joined([finished("runs/a", 6, 0), finished("runs/b", 4, 1)])
    both.record.trials["runs/b/t0000-aaaaaa"].scores["s3"] = -1.0
    table = recorded_trials(both.name, both.sweep, both.record)
    assert any_order(table, 1, True).rank == (table.ranks[0] + table.ranks[6]) / 2


def test_searches_that_differ_in_more_than_their_seed_are_not_joined():
    with pytest.raises(ConfigurationError, match=r"^runs/b: .* the set of --set values is not that of runs/a"):
        joined([finished("runs/a", 9, 0), FinishedSweep("runs/b", a_sweep("-kvd"), a_record(9))])

"""A replay is a function of the recorded trials and the request."""

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from tests.builders import three_domains, tiny_sweep
from tests.recorded_trials import events_of, learns_late, near_the_paper, record_of
from vgsearch.experiment.ledger import SweepRecord
from vgsearch.replay.output import as_json, print_replay
from vgsearch.replay.prunings import PruningSetting
from vgsearch.replay.recorded import recorded_trials
from vgsearch.replay.replay import Replay
from vgsearch.replay.request import ReplayRequest
from vgsearch.runtime.study.replay import replay
from vgsearch.runtime.study.simulations import SearchSimulation, simulated
from vgsearch.space.sweep import Sweep
from videogan.config import ConfigurationError

QUICK = ReplayRequest(("random",), ("none", "median"), (6, 12), (1, 4), 6)


def a_sweep(objective: Any = "s3", warm_up: int = 0, **settings: Any) -> Sweep:
    overrides = {"evaluation.objective": objective}
    pruning = {"pruner": "median", "n_startup_trials": 3, "warm_up": warm_up}
    limits = {"sampler": "tpe", "n_startup_trials": 4, "pruning": pruning}
    return tiny_sweep(three_domains(), limits=limits, overrides=overrides, **settings)


def a_record(sweep: Sweep, n: int = 16) -> SweepRecord:
    return record_of(events_of(sweep, n, near_the_paper, learns_late))


def of(request: ReplayRequest = QUICK, objective: Any = "s3", **settings: Any) -> Replay:
    sweep = a_sweep(objective, **settings)
    return replay("runs/a", sweep, a_record(sweep), request)


def test_the_same_records_and_seed_give_the_same_answer_and_another_seed_another():
    answer = as_json(of())
    assert as_json(of()) == answer
    other = ReplayRequest(QUICK.samplers, QUICK.pruners, QUICK.after, QUICK.at_once, QUICK.repeats, seed=1)
    assert as_json(of(other))["samplers"] != answer["samplers"]


def test_an_answer_has_a_cell_for_each_setting_and_every_part_that_was_asked_for():
    answer = of()
    assert answer.searches is not None
    assert answer.prunings is not None
    cells = {(f.setting.paper_first, f.setting.at_once, f.after) for f in answer.searches.found}
    assert cells == {(first, k, n) for first in (True, False) for k in (1, 4) for n in (6, 12)}
    assert [(spread.sampler, spread.at_once) for spread in answer.searches.spreads] == [("random", 4)]
    settings = [each.setting for each in answer.prunings.pruned]
    assert settings == [PruningSetting("none", 0), *(PruningSetting("median", step) for step in (0, 50, 100, 150))]
    none = answer.prunings.pruned[0]
    assert (none.saved, none.lost, none.regret) == ((0, 0, 0),) * 3
    assert [each.step for each in answer.prunings.correlations] == [*range(25, 201, 25)]
    assert of(ReplayRequest(("random",), (), (6,), (1,), 6)).prunings is None
    assert of(ReplayRequest((), ("none",), (), (1,), 6)).searches is None


def test_the_sweeps_own_warm_up_is_replayed_beside_the_shares_of_the_run():
    answer = of(ReplayRequest((), ("median", "successive_halving"), repeats=6), warm_up=60)
    assert answer.prunings is not None
    assert [each.setting.warm_up for each in answer.prunings.pruned] == [0, 50, 60, 100, 150, 0, 50, 100, 150]


def test_a_distance_is_replayed_as_its_negative_is_so_small_values_win():
    # S3 and KVD with the same values: what is best for one is worst for the other.
    larger, smaller = (of(objective=objective) for objective in ("s3", "-kvd"))
    assert larger.searches is not None
    assert smaller.searches is not None
    values = [larger.recorded.objective.value_of(trial.scores) for trial in larger.recorded.trials]
    assert min(values) <= smaller.searches.found[0].best.mean < np.median(values) < larger.searches.found[0].best.mean


def test_two_objectives_are_pruned_by_the_first_and_a_note_says_so():
    answer = of(objective=["s3", "-cost"])
    assert answer.prunings is not None
    assert answer.prunings.pruned[1].saved.mean > 0
    assert any("searched for s3 and -cost; the replay uses s3 alone" in note for note in answer.notes)


def test_a_sampler_that_can_not_search_the_space_is_noted_and_an_error_if_it_was_named():
    asked = ReplayRequest(("random", "gp"), (), (6,), (1,), 6)
    answer = of(asked)
    assert answer.searches is not None
    assert {each.setting.sampler for each in answer.searches.found} == {"random"}
    assert any(note.startswith("gp is left out: model.") and "is a choice" in note for note in answer.notes)
    with pytest.raises(ConfigurationError, match=r"sampler gp: .* is a choice"):
        of(ReplayRequest(("gp",), (), (6,), (1,), 6, named=True))


def test_trials_without_looks_still_have_samplers_and_a_named_pruner_is_an_error():
    record = a_record(a_sweep())
    for trial in record.trials.values():
        trial.looks.clear()
    answer = replay("runs/a", a_sweep(), record, QUICK)
    assert answer.prunings is None
    assert any(note.startswith("no pruner is replayed: runs/a: ") and "no looks" in note for note in answer.notes)
    with pytest.raises(ConfigurationError, match="no looks"):
        replay("runs/a", a_sweep(), record, ReplayRequest((), ("median",), repeats=6, named=True))


def test_so_many_at_once_that_no_score_helps_are_only_measured_for_their_distance():
    answer = of(ReplayRequest(("random",), (), (6,), (1, 6), 6))
    assert answer.searches is not None
    assert {each.setting.at_once for each in answer.searches.found} == {1}
    assert {each.at_once for each in answer.searches.spreads} == {6}
    assert any(note.startswith("6 at once: the 6 trials") for note in answer.notes)
    text = io.StringIO()
    print_replay(of(ReplayRequest(("random",), (), (6,), (6,), 6)), Console(file=text, width=80))
    assert "at once" in text.getvalue()
    assert "any order" not in text.getvalue()


def test_the_number_of_processes_changes_no_result():
    sweep = a_sweep()
    with_sampler = tiny_sweep(three_domains(), limits={"sampler": "random", "n_startup_trials": 10})
    search = SearchSimulation(with_sampler, recorded_trials("a", sweep, a_record(sweep)), 6, 2, True)
    runs, calls = [(search, range(197)), (search, range(3))], list[tuple[int, int]]()
    one, two = (simulated(runs, n_processes, lambda *done: calls.append(done)) for n_processes in (1, 2))
    assert [each.shape for each in one] == [(197, 6), (3, 6)]
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert calls == [(done, 41) for done in range(1, 42)] * 2

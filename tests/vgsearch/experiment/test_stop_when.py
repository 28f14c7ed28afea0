"""A search has found enough at a target score, or when no trial has improved on the best for a while."""

import pytest

from tests.recorded_trials import record_of
from vgsearch.experiment.ledger import SweepRecord
from vgsearch.experiment.objective import Objective
from vgsearch.experiment.stop_when import StopWhen
from videogan.config import ConfigurationError


def searched(*scores: float | None, objective: str = "s3") -> SweepRecord:
    """Trials that ended one after the other; None: pruned."""
    events = [{"event": "sweep_started", "objective": [objective], "space": "mvt_tsa"}]
    for index, score in enumerate(scores):
        name = f"t{index:04d}-abcdef"
        measured = {"state": "pruned"} if score is None else {"state": "done", "scores": {objective.strip("-"): score}}
        events += [
            {"event": "trial_started", "trial": name, "index": index, "overrides": {}, "is_paper_point": not index,
             "n_steps": 9},
            {"event": "trial_ended", "trial": name, **measured},
        ]  # fmt: skip
    return record_of([{"time": float(second), **event} for second, event in enumerate(events)])


@pytest.mark.parametrize(
    ("written", "record", "why"),
    [
        ("never", searched(0.9, 0.1, 0.1), ""),
        ("no-improvement:2", searched(0.5, 0.4), ""),
        ("no-improvement:2", searched(0.5, 0.4, None), "no improvement in the 2 trials that ended since t0000-abcdef"),
        ("no-improvement:2", searched(0.5, 0.4, 0.6), ""),
        ("no-improvement:2", searched(0.5, 0.5, 0.4), "no improvement in the 2 trials that ended since t0000-abcdef"),
        ("no-improvement:2", searched(None, None, None), ""),
        ("target:0.8", searched(0.79), ""),
        ("target:0.8", searched(0.8), "s3 0.8 of t0000-abcdef reaches target:0.8"),
        ("target:0.02", searched(0.5, 0.01, objective="-kvd"), "kvd 0.01 of t0001-abcdef reaches target:0.02"),
        ("no-improvement:9,target:0.5", searched(0.6), "s3 0.6 of t0000-abcdef reaches target:0.5"),
    ],
)
def test_a_search_stops_at_its_plateau_or_its_target_and_says_why(written: str, record: SweepRecord, why: str):
    assert StopWhen.parse(written).met(record) == why


@pytest.mark.parametrize(
    "written",
    ["", "no-improvement", "no-improvement:0", "target:high", "target:1e999", "target:1,target:2", "s3>0.8", "10"],
)
def test_another_condition_is_refused_with_examples(written: str):
    with pytest.raises(ConfigurationError, match="--stop-when must be no-improvement:10"):
        StopWhen.parse(written)


@pytest.mark.parametrize(
    ("objective", "reachable", "unreachable"),
    [("s3", "0.8", "80"), ("res", "1", "1.1"), ("is", "2", "0.5"), ("-fvd", "300", "-1"), ("-cost", "60", "-60")],
)
def test_a_target_that_no_score_of_the_objective_can_have_is_refused(objective: str, reachable: str, unreachable: str):
    StopWhen.parse(f"target:{reachable}").refuse_unreachable(Objective.parse(objective))
    with pytest.raises(ConfigurationError, match=f"target of {objective.strip('-')} must be .*, got {unreachable}"):
        StopWhen.parse(f"target:{unreachable}").refuse_unreachable(Objective.parse(objective))


def test_a_kernel_distance_may_be_below_0():
    StopWhen.parse("target:-0.001").refuse_unreachable(Objective.parse("-kvd"))

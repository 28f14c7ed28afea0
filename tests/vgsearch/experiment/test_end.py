"""An end is the same on both sides of Ray and of the ledger."""

import json
from typing import Any

import pytest

from vgsearch.experiment.end import ENDS, End
from vgsearch.experiment.score import Score

SCORE = Score.from_json({"s3": {"mean": 0.5, "low": None, "high": None}, "warnings": ["w"]})
TRIAL_ENDS = [
    End("done", step=200, scores={"s3": 0.5, "cost": 60.0}, score=SCORE),
    End("pruned", "mode collapse since step 50", 70),
    End("diverged", "g_image is not finite; lower the learning rates", 12),
    End("interrupted", "no space left for /x", halts=True),
]


def flattened(result: dict[str, Any]) -> dict[str, Any]:
    """Flatten nested results, as Ray Tune does."""
    scores = {f"scores/{name}": value for name, value in result.get("scores", {}).items()}
    return {name: value for name, value in result.items() if name != "scores"} | scores


@pytest.mark.parametrize("end", TRIAL_ENDS, ids=lambda end: end.state)
def test_an_end_crosses_ray_unchanged(end: End):
    assert End.from_result(flattened(end.to_result())) == end


def test_a_result_without_an_end_means_a_pruned_trial():
    assert End.from_result({"step": 50, "look": 0.1, "losses/d_image": 1.0}) == End("pruned", step=50)


@pytest.mark.parametrize("end", TRIAL_ENDS[:3], ids=lambda end: end.state)
def test_the_ledger_keeps_an_end_unchanged(end: End):
    assert End.from_event(json.loads(json.dumps(end.to_event()))) == end


def test_the_event_of_a_done_trial_has_scores_and_any_other_event_a_reason():
    done, pruned, *_ = (end.to_event() for end in TRIAL_ENDS)
    assert list(done) == ["state", "step", "scores", "score"]
    assert pruned == {"state": "pruned", "step": 70, "reason": "mode collapse since step 50"}
    lost = End("lost", "its node died", log_tail="Traceback")
    assert lost.to_event() == {"state": "lost", "reason": "its node died", "log_tail": "Traceback"}
    assert {end.state for end in TRIAL_ENDS} < set(ENDS)


def test_the_scores_of_an_old_ledger_come_from_its_score():
    end = End.from_event({"state": "done", "score": {"s3": {"mean": 0.5, "low": 0.4, "high": 0.6}}})
    assert (end.scores, end.step, end.reason) == ({"s3": 0.5}, None, "")

"""A point's score over several training seeds: means, intervals, costs."""

import json

import pytest

from vgsearch.runtime.sweep.seeds import averaged


def ended(s3: float, cost: float) -> dict:
    part = {"mean": s3, "low": s3 - 0.1, "high": s3 + 0.1}
    return {"end": "done", "scores": {"s3": s3, "cost": cost}, "score": json.dumps({"s3": part, "protocol": "p"})}


def test_scores_are_means_over_training_seeds_and_costs_add_up():
    result = averaged([ended(0.4, 10.0), ended(0.5, 12.0), ended(0.6, 14.0)])
    assert result["scores"] == pytest.approx({"s3": 0.5, "cost": 36.0})
    summary = json.loads(result["score"])
    assert summary["s3"]["mean"] == pytest.approx(0.5)
    # Student's t with 2 degrees of freedom times the standard error: 4.302653 * 0.1 / sqrt(3).
    assert summary["s3"]["high"] - 0.5 == pytest.approx(0.248414, rel=1e-4)
    assert summary["over_training_seeds"]["s3"] == [0.4, 0.5, 0.6]
    assert summary["protocol"] == "p"


def test_a_score_that_one_seed_lacks_is_not_averaged():
    lacking = ended(0.5, 1.0)
    del lacking["scores"]["s3"]
    assert "s3" not in averaged([ended(0.4, 1.0), lacking])["scores"]

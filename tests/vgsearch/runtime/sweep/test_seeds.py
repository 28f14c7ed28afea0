"""A point's score over several training seeds: means, intervals, costs."""

import pytest

from vgsearch.experiment.end import End
from vgsearch.experiment.score import Score
from vgsearch.runtime.sweep.seeds import averaged


def done(scores: dict[str, float], copies: float | None = None) -> End:
    part = {"mean": 0.4, "low": 0.3, "high": 0.5}
    written = {} if copies is None else {"copies": {"share": copies, "limit": 0.05}}
    return End("done", scores=scores, score=Score.from_json({"s3": part, "protocol": "p"} | written))


def test_scores_are_means_over_training_seeds_and_costs_add_up():
    end = averaged([done({"s3": s3, "cost": cost}) for s3, cost in ((0.4, 10.0), (0.5, 12.0), (0.6, 14.0))])
    assert end.scores == pytest.approx({"s3": 0.5, "cost": 36.0})
    s3 = end.score.interval("s3")
    assert s3.mean == pytest.approx(0.5)
    # Student's t with 2 degrees of freedom times the standard error: 4.302653 * 0.1 / sqrt(3).
    assert s3.high - 0.5 == pytest.approx(0.248414, rel=1e-4)
    assert end.score.over_training_seeds["s3"] == [0.4, 0.5, 0.6]
    assert end.score.s3.protocol == "p"


def test_a_point_copies_if_one_of_its_trainings_does():
    ends = [done({"s3": 0.4, "cost": 1.0}, share) for share in (0.0, None, 0.3)]
    copies = averaged(ends).score.copies
    assert copies is not None
    assert (copies.share, copies.flagged) == (0.3, True)
    assert averaged(ends[1:2]).score.copies is None


def test_a_score_that_one_seed_lacks_is_not_averaged():
    assert "s3" not in averaged([done({"s3": 0.4, "cost": 1.0}), done({"cost": 1.0})]).scores

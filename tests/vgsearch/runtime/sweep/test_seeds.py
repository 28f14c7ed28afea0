"""A point's score over several training seeds: means, intervals, costs."""

import math

import pytest

from vgsearch.experiment.end import End
from vgsearch.experiment.objective import Objective
from vgsearch.experiment.score import Score
from vgsearch.runtime.sweep.seeds import averaged, has_lost
from videogan.metrics.interval import Interval


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


@pytest.mark.parametrize(
    ("objective", "to_beat", "n_ends", "lost"),
    [
        ("s3", None, 1, False),  # no race
        ("s3", 0.5, 1, False),  # the first training's own interval, [0.3, 0.5], touches it
        ("s3", 0.51, 1, True),
        ("s3", 0.51, 2, False),  # Student's interval of two trainings is wide
        ("s3", 0.99, 3, True),
        ("-kvd", 0.3, 1, False),
        ("-kvd", 0.29, 1, True),  # a distance is better when smaller
    ],
)
def test_a_race_is_lost_once_the_interval_of_the_trainings_does_not_reach_the_bests(
    objective: str, to_beat: float | None, n_ends: int, lost: bool
):
    name = objective.removeprefix("-")
    part = {"mean": 0.4, "low": 0.3, "high": 0.5}
    score = Score.from_json({"s3": part} if name == "s3" else {name: part})
    ends = [End("done", scores={name: value}, score=score) for value in (0.4, 0.42, 0.41)]
    assert has_lost(ends[:n_ends], Objective.parse(objective), to_beat) is lost


def test_the_worse_end_of_the_best_points_interval_is_to_beat():
    interval = Interval(0.4, 0.3, 0.5)
    assert (Objective("s3").worse_end(interval), Objective("kvd").worse_end(interval)) == (0.3, 0.5)
    assert Objective("s3").worse_end(Interval(0.4, math.nan, math.nan)) is None
    assert Objective("s3").reaches(Interval(0.4, math.nan, math.nan), 0.9), "without an interval a point may be as good"


def test_a_score_that_one_seed_lacks_is_not_averaged():
    assert "s3" not in averaged([done({"s3": 0.4, "cost": 1.0}), done({"cost": 1.0})]).scores

"""Objectives are given by name; a sign that would search for the worst is refused."""

import itertools
import random

import pytest

from vgsearch.experiment.objective import (
    LABELS,
    NAMES,
    Objective,
    looks_at_distance,
    notes_of,
    pareto_front,
    read_objectives,
)
from videogan.config import ConfigurationError


def refusal(*written: str, n_classes: int = 4) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_objectives(written, n_classes)
    return str(caught.value)


def objectives(*written: str) -> list[Objective]:
    return [Objective.parse(name) for name in written]


@pytest.mark.parametrize("name", NAMES)
def test_each_score_is_accepted_in_its_better_direction_and_refused_in_the_other(name: str):
    right, wrong = sorted((name, f"-{name}"), key=lambda written: written != str(Objective(name)))
    parsed = Objective.parse(right)
    assert str(parsed) == right
    assert parsed.direction == ("minimize" if right.startswith("-") else "maximize")
    with pytest.raises(
        ConfigurationError, match=rf"'{wrong}': {name} is better when (larger|smaller); write {right}\.$"
    ):
        Objective.parse(wrong)


def test_accuracies_and_is_are_better_when_larger_distances_and_cost_when_smaller():
    assert {str(Objective(name)) for name in NAMES} == {
        "s3", "s3_chance_corrected", "ser", "res", "is", "-fid", "-fvd", "-kvd", "-cost"
    }  # fmt: skip


def test_an_unknown_score_is_refused_with_the_nearest_name():
    assert refusal("-kdv") == "evaluation.objective 'kdv' is unknown; did you mean 'kvd'?"
    assert "must be one of cost, fid, fvd, is, kvd, res, s3, s3_chance_corrected, ser" in refusal("x")


def test_impossible_objectives_are_refused_with_what_to_write():
    assert refusal().startswith("evaluation.objective must name one score, or two for a Pareto front, got 0")
    assert "got 3" in refusal("s3", "-kvd", "-cost")
    assert refusal("-kvd", "-kvd").startswith("evaluation.objective names -kvd twice")
    assert refusal("-cost").endswith("such as [s3,-cost].")


@pytest.mark.parametrize("written", [("s3",), ("s3_chance_corrected",), ("ser",), ("res", "-kvd"), ("-cost", "is")])
def test_data_of_one_class_can_only_be_searched_by_distance(written: tuple[str, ...]):
    assert "Use --set evaluation.objective=-kvd" in refusal(*written, n_classes=1)
    assert read_objectives(written, n_classes=2)
    assert [str(objective) for objective in read_objectives(["-kvd", "-cost"], n_classes=1)] == ["-kvd", "-cost"]


@pytest.mark.parametrize(("written", "warned"), [("is", True), ("is -cost", True), ("is s3", False), ("s3", False)])
def test_the_inception_score_as_the_only_quality_metric_gives_a_warning(written: str, warned: bool):
    notes = notes_of(objectives(*written.split()), pruning=False)
    assert any("do not search by IS alone" in note and "42.79" in note and "34.49" in note for note in notes) == warned
    assert len(notes) == warned


def test_a_note_says_that_two_objectives_prevent_pruning_if_the_sweep_would_prune():
    assert "trials are not pruned" in notes_of(objectives("s3", "-cost"), pruning=True)[0]
    assert notes_of(objectives("s3", "-cost"), pruning=False) == notes_of(objectives("s3"), pruning=True) == []


@pytest.mark.parametrize(
    ("written", "distance"),
    [("s3", False), ("-kvd", True), ("-cost -fvd", True), ("s3 -kvd", False), ("-kvd s3", True)],
)
def test_looks_follow_the_first_objective_other_than_cost(written: str, distance: bool):
    assert looks_at_distance(objectives(*written.split())) == distance


def test_the_front_equals_that_of_brute_force():
    rng = random.Random(0)
    for written, n_values in itertools.product((["s3"], ["-kvd"], ["s3", "-cost"], ["-kvd", "-cost"]), (2, 4, 1000)):
        chosen = objectives(*written)
        sign = {objective.name: 1 if objective.direction == "maximize" else -1 for objective in chosen}
        for _ in range(20):
            points = [{name: rng.randrange(n_values) for name in sign} for _ in range(rng.randrange(25))]
            expected = [
                index
                for index, point in enumerate(points)
                if not any(
                    all(sign[name] * other[name] >= sign[name] * point[name] for name in sign) and other != point
                    for other in points
                )
            ]
            assert pareto_front(points, chosen) == expected


def test_equal_points_are_on_the_front_together():
    points = [{"s3": 0.5, "cost": 1.0}, {"s3": 0.5, "cost": 2.0}, {"s3": 0.5, "cost": 1.0}, {"s3": 0.4, "cost": 1.0}]
    assert pareto_front(points, objectives("s3", "-cost")) == [0, 2]
    assert pareto_front(points, objectives("s3")) == [0, 1, 2]
    assert pareto_front([], objectives("s3")) == []


def test_a_packages_metric_has_the_direction_of_its_sign_and_must_be_installed_where_a_search_starts():
    lower, higher = Objective.parse("-metric:flicker"), Objective.parse("metric:flicker")
    assert [str(objective) for objective in (lower, higher)] == ["-metric:flicker", "metric:flicker"]
    assert (lower.direction, higher.direction) == ("minimize", "maximize")
    assert lower.loss({"metric:flicker": 2.0}) == 2.0 == -higher.loss({"metric:flicker": 2.0})
    assert LABELS[lower.name] == "flicker"
    assert not lower.is_of_features
    assert not lower.is_part_of_s3
    assert looks_at_distance([higher])
    with pytest.raises(ConfigurationError, match="no installed package has the metric 'flicker'"):
        read_objectives(["-metric:flicker"], n_classes=1)

"""The committed table of tried points is of today's search spaces, and most points of each of them train."""

import itertools

import pytest

from tests.benchmarks.ranges import MOST_BROKEN, N_POINTS, REPORT, Task, is_broken, kept_points, tasks, values_of

POINTS = kept_points(REPORT / "points.csv")
GROUPS = {key: list(group) for key, group in itertools.groupby(tasks(), lambda task: (task.space, task.budgets))}


@pytest.mark.parametrize(
    ("space", "budgets"), GROUPS, ids=lambda part: part if isinstance(part, str) else "+".join(part)
)
def test_most_random_points_of_a_space_train_at_each_budget(space: str, budgets: tuple[str, ...]):
    tried = [POINTS.get((task.space, task.digest, task.number)) for task in GROUPS[space, budgets]]
    assert None not in tried, "the space or its budget changed since the points were tried; run `make ranges`"
    assert len(tried) == N_POINTS
    broken = [f"{point.number}: {point.outcome}, {point.evidence}" for point in tried if point and is_broken(point)]
    assert len(broken) <= MOST_BROKEN * N_POINTS, broken


def test_the_table_has_no_point_of_an_earlier_version_of_a_space():
    assert {(task.space, task.digest, task.number) for task in tasks()} == set(POINTS)


def test_a_point_is_a_function_of_space_and_number_and_satisfies_the_constraints():
    task = Task("mvt_tsa", ("smoke",), "", 3)
    assert values_of(task) == values_of(task) != values_of(Task("mvt_tsa", ("smoke",), "", 4))
    drawn = [values_of(Task("mvt_tsa", ("smoke",), "", number)) for number in range(N_POINTS)]
    assert all(v["model.sigma_a"] <= v["model.sigma_b"] <= v["model.sigma_c"] for v in drawn)

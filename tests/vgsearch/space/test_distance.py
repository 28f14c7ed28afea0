"""Gower's distance between points of numbers, choices, values that may be off, and conditional domains."""

import itertools
import random
from typing import Any

import numpy as np
import pytest

from vgsearch.space.distance import coordinates, distances, mean_distance
from vgsearch.space.domains import ChoiceDomain, FloatDomain, IntDomain, Searched

DOMAINS = {
    "rate": FloatDomain(type="float", low=1e-5, high=1e-3, log=True),
    "share": FloatDomain(type="float", low=-1.0, high=1.0),
    "alpha": FloatDomain(type="float", low=0.1, high=10.0, log=True, or_off=0.0),
    "layers": IntDomain(type="int", low=1, high=9),
    "norm": ChoiceDomain(type="choice", choices=["spectral", "svc", "none"]),
    "clip": ChoiceDomain(type="choice", choices=[1, 2, 5], when={"norm": "svc"}),
}
POINT = {"rate": 1e-4, "share": 0.0, "alpha": 1.0, "layers": 5, "norm": "svc", "clip": 2}


def apart(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The distance, in numbers of domains."""
    first, second = coordinates([one, other], DOMAINS)
    return float(distances(first, second[None])[0]) * len(DOMAINS)


@pytest.mark.parametrize(
    ("changed", "by"),
    [
        ({}, 0),
        ({"rate": 1e-5}, 0.5),  # half of two decades
        ({"share": 1.0}, 0.5),
        ({"layers": 9}, 0.5),
        ({"alpha": 0.0}, 1),  # off, however near 0 is
        ({"clip": 1}, 1),
        ({"clip": 5}, 1),
        ({"norm": "none", "clip": None}, 2),  # another choice, and a domain that only one has
    ],
)
def test_a_domain_adds_its_difference_on_its_own_scale(changed: dict[str, Any], by: float):
    other = {path: value for path, value in (POINT | changed).items() if value is not None}
    assert apart(POINT, other) == apart(other, POINT) == pytest.approx(by)


def test_domains_that_neither_point_has_and_two_that_are_off_are_equal():
    bare = {"rate": 1e-4, "share": 0.0, "alpha": 0.0, "layers": 5, "norm": "none"}
    assert apart(bare, bare) == 0
    assert apart(bare, bare | {"norm": "spectral"}) == 1


def test_it_is_a_metric_within_one():
    rng, searched = random.Random(0), Searched(DOMAINS)
    numbers = coordinates([searched.draw(rng) for _ in range(12)], DOMAINS)
    table = np.array([distances(point, numbers) for point in numbers])
    assert np.array_equal(table, table.T)
    assert table.min() == 0
    assert table.max() <= 1
    for one, other, third in itertools.permutations(range(12), 3):
        assert table[one, other] <= table[one, third] + table[third, other] + 1e-12


def test_the_mean_distance_is_over_all_pairs_and_needs_one():
    numbers = coordinates([POINT, POINT, POINT | {"clip": 1}], DOMAINS)
    assert mean_distance(numbers) == pytest.approx(2 / 3 / len(DOMAINS))
    with pytest.raises(ValueError, match="two points or more, got 1"):
        mean_distance(numbers[:1])

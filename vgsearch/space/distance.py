"""The distance between two points of a search space, for spaces of numbers, choices and conditional domains."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vgsearch.space.domains import ChoiceDomain, Domain

_ABSENT, _OFF = -1.0, -2.0
"""Kinds of a domain that a point does not have, and of one that is off; others are 0, or the number of the choice."""


def coordinates(points: Sequence[Mapping[str, Any]], domains: Mapping[str, Domain]) -> np.ndarray:
    """Points (n) as numbers (n, domains, 2): the kind of each value, and where it lies in its domain, in [0, 1].

    A value on a log scale has its place on that scale; choices, off and absent values have place 0.
    """
    found = [[_coordinate(domain, point.get(path)) for path, domain in domains.items()] for point in points]
    return np.array(found, dtype=float).reshape(len(points), len(domains), 2)


def _coordinate(domain: Domain, value: Any) -> tuple[float, float]:
    if value is None:
        return _ABSENT, 0.0
    if isinstance(domain, ChoiceDomain):
        return float(domain.choices.index(value)), 0.0
    if value == getattr(domain, "or_off", None):
        return _OFF, 0.0
    if domain.log:
        return 0.0, math.log(value / domain.low) / math.log(domain.high / domain.low)
    return 0.0, (value - domain.low) / (domain.high - domain.low)


def distances(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Gower's distances (n) of a point (domains, 2) from others (n, domains, 2), in [0, 1] (Gower 1971).

    The mean over domains of the difference in place, or of 1 where the kinds differ: two choices, off and on, or a
    conditional domain that only one point has.
    """
    apart = np.where(one[:, 0] == others[..., 0], np.abs(one[:, 1] - others[..., 1]), 1.0)
    return np.asarray(apart.mean(axis=-1))


def mean_distance(points: np.ndarray) -> float:
    """The mean distance over all pairs of points (n, domains, 2); raises ValueError for fewer than two."""
    if len(points) < 2:
        raise ValueError(f"a mean distance needs two points or more, got {len(points)}.")
    each = np.concatenate([distances(points[row], points[row + 1 :]) for row in range(len(points) - 1)])
    return float(each.mean())

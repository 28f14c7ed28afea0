"""A few damaged inputs of each kind; `make drills` tries thousands."""

import random

import pytest

from tests.fuzzing.fuzz import fuzz
from tests.fuzzing.inputs import KINDS
from tests.fuzzing.mutations import damaged_bytes, damaged_text, damaged_value


def test_damaged_inputs_are_read_or_refused_by_an_error_of_our_own():
    outcomes = fuzz(n_inputs=60)
    assert [defect for each in outcomes.values() for defect in each.defects] == []
    assert set(outcomes) == set(KINDS)
    assert sum(each.n_refused for each in outcomes.values()) > 10


def test_the_shares_of_all_kinds_are_the_whole():
    assert sum(percent for _, percent in KINDS.values()) == 100


@pytest.mark.parametrize("seed", range(5))
def test_damage_is_a_function_of_the_seed_and_leaves_its_input_unchanged(seed: int):
    value = {"a": [1, {"b": None}], "c": "text"}
    one, other = (damaged_value(value, random.Random(seed)) for _ in range(2))
    assert repr(one) == repr(other)
    assert value == {"a": [1, {"b": None}], "c": "text"}
    for damaged, whole in ((damaged_text, "some text"), (damaged_bytes, b"some bytes")):
        assert damaged(whole, random.Random(seed)) == damaged(whole, random.Random(seed))

"""Results become values that strict JSON accepts."""

import json
import math
from typing import NamedTuple

from videogan.storage.json_values import json_values


class Range(NamedTuple):
    low: float
    high: float


def test_nan_and_infinity_become_null_at_any_depth():
    values = {"a": [1.5, math.nan, (math.inf, 2)], "b": {"c": -math.inf, "d": "nan", "e": None, "f": True}}
    assert json.dumps(json_values(values), allow_nan=False) == json.dumps(
        {"a": [1.5, None, [None, 2]], "b": {"c": None, "d": "nan", "e": None, "f": True}}
    )


def test_a_named_tuple_becomes_a_dict_of_its_fields():
    assert json_values([Range(math.nan, 2.0)]) == [{"low": None, "high": 2.0}]

"""Results as values that JSON can hold, and the types of values that came from JSON."""

import math
import numbers
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

_NUMBERS: dict[Any, type] = {int: numbers.Integral, float: numbers.Real}


def json_values(value: Any) -> Any:
    """`value` with None for NaN and infinity, which JSON lacks, and a dict for each named tuple, at any depth."""
    if hasattr(value, "_asdict"):
        return json_values(value._asdict())
    if isinstance(value, dict):
        return {name: json_values(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def fits(value: Any, kind: Any) -> bool:
    """Whether a value read from JSON is of a type such as Mapping[str, Sequence[float] | None]; true is no number."""
    if kind is Any:
        return True
    if kind in _NUMBERS:
        return isinstance(value, _NUMBERS[kind]) and not isinstance(value, bool)
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Sequence:
        return isinstance(value, list | tuple) and all(fits(item, parts[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            fits(name, parts[0]) and fits(value[name], parts[1]) for name in value
        )
    return value is None if kind in (None, NoneType) else isinstance(value, kind)

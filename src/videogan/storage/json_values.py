"""Results as values that JSON can hold."""

import math
from typing import Any


def json_values(value: Any) -> Any:
    """`value` with None for NaN and infinity, which JSON lacks, and a dict for each named tuple, at any depth."""
    if hasattr(value, "_asdict"):
        return json_values(value._asdict())
    if isinstance(value, dict):
        return {name: json_values(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

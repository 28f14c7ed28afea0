"""Durations and sizes as people write them on the command line."""

import re

from pydantic import ByteSize, TypeAdapter, ValidationError

from videogan.config import ConfigurationError

_HOURS = {"d": 24.0, "h": 1.0, "m": 1 / 60, "s": 1 / 3600}
_PARTS = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms])")
_BYTES = TypeAdapter(ByteSize)


def hours_of(written: str, option: str) -> float:
    """1h30m, 90m, 1.5h, 2d or 45s as hours; raises ConfigurationError, which names the `option`."""
    parts = _PARTS.findall(written.strip().lower())
    units = [unit for _, unit in parts]
    whole = re.sub(r"\s", "", written.lower()) == "".join(map("".join, parts))
    # Each unit once, the larger ones first.
    if not parts or not whole or units != sorted(set(units), key="dhms".index):
        raise ConfigurationError(f"{option} must look like 8h, 1h30m, 90m or 2d, got '{written}'.")
    hours = sum(float(number) * _HOURS[unit] for number, unit in parts)
    if hours == 0:
        raise ConfigurationError(f"{option} must be more than nothing, got '{written}'.")
    return hours


def bytes_of(written: str, option: str) -> float:
    """50G, 50GB, 0.3GiB or 500 MB as bytes; raises ConfigurationError, which names the `option`."""
    has_unit = re.search(r"[a-z]", written, re.IGNORECASE) is not None
    try:
        n_bytes = int(_BYTES.validate_python(written.strip())) if has_unit else 0
    except ValidationError:
        n_bytes = 0
    if n_bytes <= 0:
        raise ConfigurationError(f"{option} must look like 50G, 500MB or 0.3GiB, got '{written}'.")
    return float(n_bytes)

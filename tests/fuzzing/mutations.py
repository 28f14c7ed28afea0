"""Random damage: to plain values, to bytes and to texts; a function of the random generator alone."""

import copy
import math
import random
from typing import Any

STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 3, 10**30, 0.5, -0.0, 1e300, math.inf, math.nan, "", "x", "1e-5", "010", "on", "../x", "a.b",
    "[/red]", "\x1b[2J", "é" * 50, "a\nb", "\x00", [], {}, [[]], {"a": {}}, ["x", 1], {"": None},
)  # fmt: skip
"""Values that a reader may not expect."""


def damaged_value(value: Any, rng: random.Random) -> Any:
    """A copy of nested lists and mappings with one to three places replaced, deleted, doubled or renamed."""
    found = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        found = _damaged_once(found, rng)
    return found


def _damaged_once(value: Any, rng: random.Random) -> Any:
    holders = [holder for holder in _within(value) if isinstance(holder, dict | list) and holder]
    if not holders:
        return rng.choice(STRANGE)
    holder = rng.choice(holders)
    place = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    kind = rng.choice(("replace", "replace", "delete", "rename", "double"))
    if kind == "replace":
        holder[place] = copy.deepcopy(rng.choice(STRANGE))
    elif kind == "delete":
        del holder[place]
    elif kind == "rename" and isinstance(holder, dict):
        holder[damaged_text(str(place), rng)] = holder.pop(place)
    elif isinstance(holder, list):
        holder.append(copy.deepcopy(holder[place]))
    else:
        holder[place] = [holder[place]] * 2
    return value


def _within(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(found for part in inner for found in _within(part))]


def damaged_text(text: str, rng: random.Random) -> str:
    """A text with one character removed, doubled or replaced."""
    at = rng.randrange(len(text) + 1)
    inserted = rng.choice(["", text[at : at + 1] * 2, rng.choice(":.-_ []{}&*!#|>'\"%@`,?~\t\n0e=\\/\x00é")])
    return text[:at] + inserted + text[at + 1 :]


def damaged_bytes(content: bytes, rng: random.Random) -> bytes:
    """Bytes that were cut off, overwritten, or of which a few bits flipped."""
    kind, changed = rng.choice(("cut", "overwrite", "flip", "flip", "insert")), bytearray(content)
    at = rng.randrange(len(content) + 1)
    if kind == "cut":
        return content[:at]
    if kind == "insert":
        return content[:at] + rng.randbytes(rng.randint(1, 8)) + content[at:]
    for _ in range(rng.randint(1, 8)) if kind == "flip" and content else ():
        changed[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    if kind == "overwrite":
        changed[at : at + 16] = rng.randbytes(16)
    return bytes(changed)

"""What a metric of another installed package is: a function that an entry point in `vgsearch.metrics` names."""

import math
from collections.abc import Mapping
from typing import Any, Literal, Protocol, get_args

from torch import Tensor

Better = Literal["higher", "lower"]
Value = tuple[float, Better]
"""A score, and whether a larger or a smaller one is better."""


class Metric(Protocol):
    """A score of generated clips beside real ones."""

    def __call__(self, generated: Tensor, real: Tensor, labels: Tensor, seed: int) -> Mapping[str, Value]:
        """Values by their names, such as {"flicker": (0.02, "lower")}; the same names and directions in each call.

        generated, real: uint8 (B, T, 3, H, W), on the CPU; labels: int64 (B,), the class of clip i of both. `real` are
        random windows of clips that the generator has not seen. `seed` is for what the metric draws itself. Each value
        is a finite float.
        """


def checked_values(found: Any) -> dict[str, Value]:
    """What a metric returned (hence Any), as a dict of floats with direction; raises ValueError if it is none."""
    if not isinstance(found, Mapping) or not found or not all(isinstance(name, str) for name in found):
        raise ValueError(f'a metric must return values by name, such as {{"flicker": (0.02, "lower")}}, got {found!r}.')
    for name, value in found.items():
        if not isinstance(value, tuple) or len(value) != 2 or value[1] not in get_args(Better):
            raise ValueError(f'{name} must be a float with "higher" or "lower", whichever is better, got {value!r}.')
        if isinstance(value[0], bool) or not isinstance(value[0], int | float) or not math.isfinite(value[0]):
            raise ValueError(f"{name} must be a finite float, got {value[0]!r}.")
    return {name: (float(value), better) for name, (value, better) in found.items()}

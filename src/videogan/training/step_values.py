"""The losses and measures of training steps, which stay on the device until they are read together."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from videogan.divergence import TrainingDiverged


class StepValues:
    """The losses and measures of one step; on a GPU the first reading waits for the device."""

    def __init__(self, step: int, terms: tuple[str, ...], measures: tuple[str, ...], numbers: Tensor) -> None:
        """numbers: float64 (n,), one for each of the `terms` of the losses, then one for each of the `measures`."""
        self.step, self._terms, self._measures, self._numbers = step, terms, measures, numbers
        self._read: list[float] | None = None

    @property
    def is_read(self) -> bool:
        """Whether the numbers are on the CPU."""
        return self._read is not None

    @property
    def losses(self) -> dict[str, float]:
        """By term."""
        return dict(zip(self._terms, self._all(), strict=False))

    @property
    def measures(self) -> dict[str, float]:
        """By name."""
        return dict(zip(self._measures, self._all()[len(self._terms) :], strict=True))

    def _all(self) -> list[float]:
        if self._read is None:
            read_together([self])
        assert self._read is not None
        return self._read


def read_together(steps: Sequence[StepValues]) -> None:
    """Copy the numbers of these steps to the CPU, by one copy."""
    numbers: list[float] = torch.cat([step._numbers for step in steps]).tolist()
    first = 0
    for step in steps:
        step._read = numbers[first : first + len(step._numbers)]
        first += len(step._read)


def refuse_divergence(steps: Sequence[StepValues]) -> None:
    """Read these steps; raise TrainingDiverged for the first loss that is not finite."""
    read_together(steps)
    for step in steps:
        for term, value in step.losses.items():
            if not math.isfinite(value):
                raise TrainingDiverged(step.step, term)

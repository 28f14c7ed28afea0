"""Inequalities between two domains of a search space."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from videogan.config import ConfigurationError


@dataclass(frozen=True)
class Inequality:
    """`smaller <= larger`: two domains, named by their paths in the run's configuration."""

    smaller: str
    larger: str

    @classmethod
    def parse(cls, written: str) -> "Inequality":
        """Read "model.sigma_a <= model.sigma_b"; raises ConfigurationError for anything else."""
        match = re.fullmatch(r"\s*([\w.]+)\s*<=\s*([\w.]+)\s*", written)
        if match is None or match[1] == match[2]:
            raise ConfigurationError(
                f"constraints: '{written}' is not an inequality between two domains; "
                "write model.sigma_a <= model.sigma_b."
            )
        return cls(match[1], match[2])

    def __str__(self) -> str:
        return f"{self.smaller} <= {self.larger}"

    @property
    def paths(self) -> tuple[str, str]:
        return self.smaller, self.larger

    def holds(self, chosen: Mapping[str, Any]) -> bool:
        """Whether `chosen` satisfies it; it also holds if either domain has no value."""
        smaller, larger = chosen.get(self.smaller), chosen.get(self.larger)
        return smaller is None or larger is None or smaller <= larger

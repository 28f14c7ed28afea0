"""What must hold between two domains of a search space: one's value is at most the other's."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from videogan.config import ConfigurationError


@dataclass(frozen=True)
class Inequality:
    """`smaller <= larger`, two domains by the paths of the run's configuration that they search."""

    smaller: str
    larger: str

    @classmethod
    def parse(cls, written: str) -> "Inequality":
        """Reads "model.sigma_a <= model.sigma_b"; raises ConfigurationError for anything else."""
        match = re.fullmatch(r"\s*([\w.]+)\s*<=\s*([\w.]+)\s*", written)
        if match is None or match[1] == match[2]:
            raise ConfigurationError(
                f"constraints: '{written}' is no inequality of two domains; write model.sigma_a <= model.sigma_b."
            )
        return cls(match[1], match[2])

    def __str__(self) -> str:
        return f"{self.smaller} <= {self.larger}"

    @property
    def paths(self) -> tuple[str, str]:
        return self.smaller, self.larger

    def holds(self, chosen: Mapping[str, Any]) -> bool:
        """Whether `chosen` keeps it; a domain that has no value under the others binds nothing."""
        smaller, larger = chosen.get(self.smaller), chosen.get(self.larger)
        return smaller is None or larger is None or smaller <= larger

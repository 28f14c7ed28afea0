"""What a tracker does with the trials of a search."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Search:
    """The search whose trials are tracked."""

    name: str
    """The experiment's; the tracker's project or experiment has it too."""
    place: str
    """Its folder or address, which no other experiment has."""
    facts: Mapping[str, Any]
    """What all trials have in common, such as space and data. Any: values of settings."""


class Tracker(ABC):
    """One run for each trial. A trial that an earlier driver began goes on in its run."""

    def __init__(self, search: Search) -> None:
        self.search = search

    @abstractmethod
    def begin(self, trial: str, settings: Mapping[str, Any]) -> None:
        """Open the trial's run with its searched values; Any: values of settings."""

    @abstractmethod
    def log(self, trial: str, step: int, values: Mapping[str, float]) -> None:
        """Add values of a step to the trial's curves."""

    @abstractmethod
    def end(self, trial: str, state: str, pictures: Path | None) -> None:
        """Close the trial's run with how it ended, and a GIF of samples if it has one on this machine."""

    @abstractmethod
    def close(self) -> None:
        """Close the runs of trials that have not ended; a resumed search goes on with them."""

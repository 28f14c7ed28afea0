"""A trial before it starts; what a new driver proposes without asking the study."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vgsearch.experiment.ledger import TrialRecord


@dataclass(frozen=True)
class Proposal:
    """A trial before it starts: its place in the sweep and the values chosen for the searched domains."""

    index: int
    overrides: dict[str, Any]
    is_paper_point: bool = False
    looks: tuple[tuple[int, float], ...] = ()
    changed: Mapping[str, Any] = field(default_factory=dict)
    """What the trial has otherwise than proposed, by path of the run's configuration."""
    anew: bool = False
    """Whether it starts from nothing, though it was tried before."""
    parent: int | None = None
    """The place in the sweep of the trial whose newest checkpoint it goes on from."""

    @classmethod
    def again(cls, record: TrialRecord) -> "Proposal":
        """The same trial once more, with the looks it already had."""
        looks = tuple(sorted(record.looks.items()))
        parent = None if record.parent is None else record.parent["index"]
        return cls(record.index, record.overrides, record.is_paper_point, looks, record.changed, parent=parent)

    def anew_with(self, changed: Mapping[str, Any]) -> "Proposal":
        """The same trial from nothing, with these settings changed besides."""
        return dataclasses.replace(self, looks=(), anew=True, changed={**self.changed, **changed})

"""A trial before it starts, as the study or a new driver proposes it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vgsearch.experiment.ledger import TrialRecord


@dataclass(frozen=True)
class Proposal:
    """A trial before it starts: its index in the sweep and the values chosen for the searched domains."""

    index: int
    overrides: dict[str, Any]
    is_paper_point: bool = False
    looks: tuple[tuple[int, float], ...] = ()
    changed: Mapping[str, Any] = field(default_factory=dict)
    """Settings that a retry changed, by path of the run's configuration."""
    anew: bool = False
    """Whether it starts from step 0, although an earlier attempt has checkpoints."""
    parent: int | None = None
    """The index of the trial whose newest checkpoint it starts from."""

    @classmethod
    def again(cls, record: TrialRecord) -> "Proposal":
        """A further attempt at the same trial, with the looks it already has."""
        looks = tuple(sorted(record.looks.items()))
        parent = None if record.parent is None else record.parent["index"]
        return cls(record.index, record.overrides, record.is_paper_point, looks, record.changed, parent=parent)

    def restarted_with(self, changed: Mapping[str, Any]) -> "Proposal":
        """The same trial from step 0, with the settings in `changed` changed as well."""
        return dataclasses.replace(self, looks=(), anew=True, changed={**self.changed, **changed})

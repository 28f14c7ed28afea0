"""The answer of `vgsearch replay`: what the recorded trials are, and what the simulations of them found."""

from collections.abc import Sequence
from dataclasses import dataclass

from vgsearch.replay.prunings import Prunings
from vgsearch.replay.recorded import RecordedTrials
from vgsearch.replay.searches import Searches


@dataclass(frozen=True)
class Replay:
    """Searches and prunings of one experiment's recorded trials; None for a part that was not asked for."""

    name: str
    recorded: RecordedTrials
    searches: Searches | None
    prunings: Prunings | None
    notes: Sequence[str]
    """What the user must know of the trials, a sentence each."""

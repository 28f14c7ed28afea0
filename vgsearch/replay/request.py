"""What `vgsearch replay` is asked: which samplers and pruners, after how many trials, with how many at once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vgsearch.replay.recorded import RecordedTrials
from videogan.config import ConfigurationError, suggestion

SAMPLERS = ("random", "tpe", "gp")
PRUNERS = ("none", "median", "successive_halving", "hyperband")
AFTER = (8, 16, 32)
"""Numbers of trials after which the best scores are compared, as far as a table has more rows."""
LEAST_REPEATS = 20
"""Fewer have no usable interval."""


@dataclass(frozen=True)
class ReplayRequest:
    """The question. An empty sequence of samplers or pruners leaves that part out."""

    samplers: Sequence[str] = SAMPLERS
    pruners: Sequence[str] = PRUNERS
    after: Sequence[int] = ()
    """Numbers of trials; empty: `AFTER`, as far as the table has more rows."""
    at_once: Sequence[int] = (1, 8)
    """Numbers of trials that run at the same time."""
    repeats: int = 100
    seed: int = 0
    named: bool = False
    """Whether the user named the samplers or pruners, so that one that does not fit is an error, not a note."""

    @classmethod
    def of(
        cls, samplers: Sequence[str], pruners: Sequence[str], after: str, at_once: str, repeats: int, seed: int
    ) -> "ReplayRequest":
        """The request of a command line; raises ConfigurationError for unknown names and numbers that are none.

        Samplers alone ask nothing about pruners, and the reverse; neither asks about all.
        """
        _refuse_unknown("--sampler", samplers, SAMPLERS)
        _refuse_unknown("--pruner", pruners, PRUNERS)
        if repeats < LEAST_REPEATS:
            raise ConfigurationError(f"--repeats must be at least {LEAST_REPEATS}, got {repeats}.")
        return cls(
            tuple(dict.fromkeys(samplers)) or (() if pruners else SAMPLERS),
            tuple(dict.fromkeys(pruners)) or (() if samplers else PRUNERS),
            _numbers("--trials", after) if after else (),
            _numbers("--parallel", at_once),
            repeats,
            seed,
            bool(samplers or pruners),
        )

    def after_in(self, recorded: RecordedTrials) -> tuple[int, ...]:
        """The numbers of trials to compare; raises ConfigurationError for one that the table can't carry.

        After as many trials as the table has rows every search has found the same.
        """
        n = len(recorded.trials)
        if too_many := [each for each in self.after if each >= n]:
            raise ConfigurationError(
                f"--trials {too_many[0]}: the table has {n} trials, and after all of them every search has found the "
                f"same; use numbers below {n}."
            )
        return tuple(self.after) or tuple(each for each in AFTER if each < n) or (n // 2,)


def _refuse_unknown(option: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise ConfigurationError(f"{option}: there is no '{name}' to replay{suggestion(name, list(known))}")


def _numbers(option: str, written: str) -> tuple[int, ...]:
    """8,16,32 as numbers in their order."""
    if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", written):
        raise ConfigurationError(
            f"{option} must be numbers above 0 with commas between them, such as 8,16, got '{written}'."
        )
    return tuple(sorted({int(part) for part in written.split(",")}))

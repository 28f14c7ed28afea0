"""When a search has found enough: no improvement for some trials, or a target score; as --stop-when writes it."""

import math
import re
from dataclasses import dataclass

from vgsearch.experiment.ledger import UNFINISHED, SweepRecord
from vgsearch.experiment.objective import Objective
from videogan.config import ConfigurationError

NEVER = "never"


@dataclass(frozen=True)
class StopWhen:
    """The condition; with neither part it is never met."""

    no_improvement: int | None = None
    """Trials that ended since the best so far did."""
    target: float | None = None
    """A value of the first objective."""

    @classmethod
    def parse(cls, written: str) -> "StopWhen":
        """no-improvement:10, target:0.8, both joined by a comma, or never; raises ConfigurationError for others."""
        found: dict[str, str] = {}
        for part in written.split(",") if written != NEVER else ():
            match = re.fullmatch(r"\s*(?:(no-improvement):(\d+)|(target):(-?\d+(?:\.\d+)?(?:e-?\d+)?))\s*", part)
            kind, number = (match[1] or match[3], match[2] or match[4]) if match else ("", "inf")
            if kind in found or math.isinf(float(number)) or (kind == "no-improvement" and not int(number)):
                raise ConfigurationError(
                    "--stop-when must be no-improvement:10 (trials), target:0.8 (score), no-improvement:10,target:0.8 "
                    f"or never; got '{written}'."
                )
            found[kind] = number
        trials, target = found.get("no-improvement"), found.get("target")
        return cls(None if trials is None else int(trials), None if target is None else float(target))

    def refuse_unreachable(self, objective: Objective) -> None:
        """Raise ConfigurationError for a target that no trial could miss or reach, such as a percentage of s3."""
        if self.target is None or objective.name == "kvd":  # an unbiased estimate, so also below 0
            return
        low, high = (0, 1) if objective.is_part_of_s3 else (1 if objective.name == "is" else 0, math.inf)
        if not low <= self.target <= high:
            span = "from 0 to 1, about what an ideal generator scores" if high == 1 else f"at least {low}"
            raise ConfigurationError(
                f"--stop-when: the target of {objective.name} must be {span}, got {self.target:g}."
            )

    def met(self, record: SweepRecord) -> str:
        """Why the search is to start no more trials; empty while it is to go on."""
        best, objective = record.best, record.objectives[0]
        if best is None:
            return ""
        if self.target is not None and _reaches(best.scores[objective.name], self.target, objective):
            return (
                f"{objective.name} {best.scores[objective.name]:.3g} of {best.trial_id} reaches target:{self.target:g}"
            )
        n_since = _ended_since_improvement(record)
        if self.no_improvement is not None and n_since >= self.no_improvement:
            return f"no improvement in the {n_since} trials that ended since {best.trial_id}"
        return ""


def _reaches(value: float, target: float, objective: Objective) -> bool:
    return value >= target if objective.direction == "maximize" else value <= target


def _ended_since_improvement(record: SweepRecord) -> int:
    """The trials that ended after the first that is as good as the best; of a front, after the newest on it."""
    ends = [trial.attempts[-1][1] for trial in record.front]
    improved = max(ends) if len(record.objectives) > 1 else min(ends)
    ended = [trial for trial in list(record.trials.values()) if trial.state not in UNFINISHED]
    return sum(trial.attempts[-1][1] > improved for trial in ended)

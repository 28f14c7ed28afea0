"""What a report shows: an experiment, and which of its searched values mattered."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from vgsearch.evaluation.confirmation import Confirmed, confirmed
from vgsearch.experiment.ledger import UNFINISHED, SweepRecord, TrialRecord
from vgsearch.experiment.objective import Objective
from vgsearch.experiment.paths import Experiment
from vgsearch.report.expected_best import ExpectedBest, expected_best
from vgsearch.space.sweep import Sweep
from vgsearch.terminal.words import typed
from videogan.config import ConfigurationError

WEAK_BELOW = 50  # trials


@dataclass(frozen=True)
class Importances:
    """Shares that sum to 1, the largest first, or the reason why there are none."""

    shares: Mapping[str, float] = field(default_factory=dict)
    n_trials: int = 0
    left_out: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""

    @property
    def weak(self) -> bool:
        """Whether the trials are too few to trust the order."""
        return self.n_trials < WEAK_BELOW


@dataclass(frozen=True)
class ExperimentData:
    """One experiment, for a report."""

    experiment: Experiment
    sweep: Sweep
    record: SweepRecord

    @property
    def name(self) -> str:
        return self.experiment.name

    @property
    def objective(self) -> Objective:
        """The first, by which a trial is best."""
        return self.record.objectives[0]

    @property
    def scored(self) -> list[TrialRecord]:
        """The done trials with a value of the first objective, the best first, those that may not be best last."""
        scored = [trial for trial in self.record.done if self.objective.name in trial.scores]
        may_be_best = self.record.may_be_best
        return sorted(scored, key=lambda trial: (not may_be_best(trial), self.objective.loss(trial.scores)))

    @property
    def best(self) -> TrialRecord | None:
        """The best trial by the first objective that does not copy training clips, unless the search allows that."""
        return next((trial for trial in self.scored if self.record.may_be_best(trial)), None)

    @property
    def protocol(self) -> str:
        """Name and digest of the objective's protocol; empty before a trial is done."""
        if not self.scored:
            return ""
        score = self.scored[0].score
        part = score.s3 if self.objective.is_part_of_s3 else score.features.get(self.objective.name)
        return "" if part is None else part.named_protocol

    @property
    def floor(self) -> float:
        """The score of an untrained generator; NaN if it was not measured."""
        measured = None if self.record.floor is None else self.record.floor.score.interval(self.objective.name)
        return math.nan if measured is None else measured.mean

    def confirmed(self) -> list[Confirmed]:
        """The best points trained again on fresh seeds; empty before `vgsearch confirm`."""
        path = self.experiment.confirm
        if not path.is_file():
            return []
        try:
            written = json.loads(path.read_bytes())
            # The paper's point is last if it is not among the best.
            top = len(written["points"]) - written["points"][-1]["is_paper_point"]
            return confirmed(self.record, top, written["seeds"], written.get("folds", 0))
        except (ValueError, LookupError, TypeError) as error:
            raise ConfigurationError(
                f"{path} must hold the points and seeds of a confirmation ({error}); delete it, or make it again: "
                f"vgsearch confirm {typed(self.experiment.place)}"
            ) from error

    def expected(self) -> ExpectedBest | None:
        """The expected best score after n trials; None before a trial is scored."""
        ended = [trial for trial in self.record.trials.values() if trial.state not in UNFINISHED]
        scored = {trial.trial_id for trial in self.scored}
        losses = [self.objective.loss(trial.scores) if trial.trial_id in scored else None for trial in ended]
        floor = None if math.isnan(self.floor) else self.objective.loss({self.objective.name: self.floor})
        return expected_best(losses, floor) if scored else None

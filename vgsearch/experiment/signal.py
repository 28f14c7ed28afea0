"""How much of a search's scores is between its points, and how much is retraining the same point."""

from collections.abc import Sequence

from vgsearch.experiment.ledger import SweepRecord, TrialRecord
from vgsearch.experiment.objective import COST, Objective
from videogan.metrics.retraining_noise import APART, RetrainingNoise, retraining_noise


def signal_of_search(record: SweepRecord) -> dict[str, RetrainingNoise]:
    """The analysis of each objective but the cost, by name, over the done trials; undefined for one seed a trial."""
    objectives = [objective for objective in record.objectives if objective.name != COST]
    return {each.name: signal_of([trainings(trial, each) for trial in record.done], each) for each in objectives}


def signal_of(points: Sequence[Sequence[float]], objective: Objective) -> RetrainingNoise:
    """The analysis of an objective's values in the trainings of each point."""
    # A distance has no scale on which .05 means something.
    return retraining_noise(points, APART if objective.is_part_of_s3 else None)


def trainings(trial: TrialRecord, objective: Objective) -> list[float]:
    """The objective in each training of a trial or run, which has several if its score is a mean over seeds."""
    own = [objective.value_of(trial.scores)] if objective.name in trial.scores else []
    return list(trial.score.over_training_seeds.get(objective.name, own))


def has_several_seeds(record: SweepRecord) -> bool:
    """Whether a point of the search was trained and scored with several seeds."""
    return any(trial.score.over_training_seeds for trial in record.done)

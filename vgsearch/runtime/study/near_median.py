"""A pruner that lets a trial near the median go on."""

import copy

from optuna import Study
from optuna.pruners import MedianPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial


class NearMedianPruner(MedianPruner):
    """Optuna's median pruner, which stops only a trial whose looks are worse than the median by more than `tolerance`.

    Looks are shares of recognised samples. Once most trials are near 1, a look of 0.98 is below the median, and says
    nothing of which trial is better.
    """

    def __init__(self, tolerance: float, n_startup_trials: int, n_warmup_steps: int) -> None:
        super().__init__(n_startup_trials=n_startup_trials, n_warmup_steps=n_warmup_steps)
        self._tolerance = tolerance

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        helped = copy.copy(trial)
        better = self._tolerance if study.direction == StudyDirection.MAXIMIZE else -self._tolerance
        helped.intermediate_values = {step: look + better for step, look in trial.intermediate_values.items()}
        return super().prune(study, helped)

"""Trials whose process or node died: each is tried again from its newest checkpoint as long as that gets it further."""

from typing import Any

from ray import tune
from ray.tune.experiment import Trial

MAX_FAILURES = 1
"""Deaths without a step beyond the one before: nodes that may be taken away at any time are no fault of a trial."""


class Retries(tune.Callback):
    """Allows a trial one more death whenever it has come further than it was at the last."""

    def __init__(self) -> None:
        self._steps: dict[str, int] = {}
        self._died_at: dict[str, int] = {}

    def on_trial_result(self, iteration: int, trials: list, trial: Trial, result: dict, **info: Any) -> None:
        step = max(result.get("step", 0), self._steps.get(trial.trial_id, 0))
        self._steps[trial.trial_id] = step
        # Now, for Ray Tune decides before it tells of a death. None is left to one that the watchdog ends.
        if step > self._died_at.get(trial.trial_id, 0) and trial.max_failures:
            trial.max_failures = trial.run_metadata.num_failures + 1 + MAX_FAILURES

    def on_trial_recover(self, iteration: int, trials: list, trial: Trial, **info: Any) -> None:
        self._died_at[trial.trial_id] = self._steps.get(trial.trial_id, 0)

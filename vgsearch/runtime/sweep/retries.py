"""Retries of trials whose process or node died: from the newest checkpoint, as long as each attempt gets further."""

from typing import Any

from ray import tune
from ray.tune.experiment import Trial

MAX_FAILURES = 1
"""Deaths allowed without progress since the last one: a trial is not to blame for nodes that are taken away."""


class Retries(tune.Callback):
    """Allows a trial one more death whenever it has passed the step of its last death."""

    def __init__(self) -> None:
        self._steps: dict[str, int] = {}
        self._died_at: dict[str, int] = {}

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any) -> None:
        step = max(result.get("step", 0), self._steps.get(trial.trial_id, 0))
        self._steps[trial.trial_id] = step
        # Raised now: Ray Tune decides on a retry before it calls back about a death. The watchdog leaves no retries.
        if step > self._died_at.get(trial.trial_id, 0) and trial.max_failures:
            trial.max_failures = trial.run_metadata.num_failures + 1 + MAX_FAILURES

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._died_at[trial.trial_id] = self._steps.get(trial.trial_id, 0)

"""How long a sweep still takes, from the steps of its trials."""

from dataclasses import dataclass
from statistics import fmean

from vgsearch.experiment.ledger import UNFINISHED, SweepRecord, TrialRecord

SCORING = 0.5
"""Time of scoring a trial as a share of that of its training, before the sweep shows it."""


@dataclass(frozen=True)
class _Done:
    """What was done: the steps of all trials, where one that has ended counts as trained whole, and how many ended."""

    steps: float
    ended: int


class TimeLeft:
    """The estimate of a viewer that sees the sweep from `began` on, in seconds of the monotonic clock.

    It is the work left at the rate of the work done since; scoring a trial counts as the steps that take as long. It
    waits where work takes longer than expected, and grows only if there is more of it: a trial that starts again.
    """

    def __init__(self, record: SweepRecord, n_trials: int, began: float) -> None:
        self._record, self._n_trials, self._began = record, n_trials, began
        self._before = self._newest = _done(list(record.trials.values()))
        self._least: float | None = None

    def seconds(self, now: float) -> float | None:
        """The seconds left; None before any step was done."""
        trials = list(self._record.trials.values())  # a copy: the driver adds trials in another thread
        done = _done(trials)
        again = _Done(max(self._newest.steps - done.steps, 0), max(self._newest.ended - done.ended, 0))
        if again.steps or again.ended:
            self._before = _Done(self._before.steps - again.steps, self._before.ended - again.ended)
            self._least = None
        self._newest = done
        if not trials or done == self._before:
            return None
        of_training = fmean(trial.n_steps for trial in trials)
        of_scoring = of_training * _share_of_scoring(trials)
        work = done.steps - self._before.steps + of_scoring * (done.ended - self._before.ended)
        steps_left, trials_left = of_training * self._n_trials - done.steps, self._n_trials - done.ended
        left = max(steps_left, 0.0) + of_scoring * max(trials_left, 0)
        estimate = (now - self._began) / work * left
        self._least = estimate if self._least is None else min(self._least, estimate)
        return self._least


def _done(trials: list[TrialRecord]) -> _Done:
    ended = [trial for trial in trials if trial.state not in UNFINISHED]
    steps = sum(min(trial.step, trial.n_steps) for trial in trials if trial.state in UNFINISHED)
    return _Done(steps + sum(trial.n_steps for trial in ended), len(ended))


def _share_of_scoring(trials: list[TrialRecord]) -> float:
    """Of the done trials: the time after the last look, as a share of the time until then."""
    shares = [
        (trial.seconds - trial.seconds_of_attempt) / trial.seconds_of_attempt
        for trial in trials
        if trial.state == "done" and len(trial.attempts) == 1 and 0 < trial.seconds_of_attempt < trial.seconds
    ]
    return fmean(shares) if shares else SCORING

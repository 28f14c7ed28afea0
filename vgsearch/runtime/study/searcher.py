"""Connects Ray Tune to Optuna: Ray Tune asks for the next trial and reports looks, Optuna proposes and prunes."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import optuna
from optuna.trial import TrialState
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search.searcher import Searcher

from vgsearch.experiment.end import End
from vgsearch.runtime.study.proposal import Proposal
from vgsearch.runtime.study.samplers import IndexedSampler, suggest_all
from vgsearch.space.sweep import Sweep

NEVER_BEGAN = "the process that was to run it had died; it starts again in another"


class SweepListener(Protocol):
    """Writes the sweep's record: the searcher calls it when a trial starts, looks and ends."""

    def begin(self, proposal: Proposal) -> dict[str, Any] | None:
        """The parameters to start a trial with; None if no more trials may start."""

    def progressed(self, parameters: dict[str, Any], result: dict[str, Any]) -> None: ...

    def ended(self, parameters: dict[str, Any], end: End) -> Proposal | None:
        """The proposal to try next, of the same trial; None if there is none."""


class StudySearcher(Searcher):
    """Ray Tune's Searcher over Optuna's ask and tell; only a done trial is COMPLETE, others are PRUNED or FAIL."""

    def __init__(
        self,
        study: optuna.Study,
        sweep: Sweep,
        waiting: list[Proposal],
        listener: SweepListener,
        next_index: int = 0,
        successor: Callable[[int], Proposal | None] = lambda index: None,
    ) -> None:
        """Propose `waiting` first: the paper's points of a new sweep, or the unfinished trials of a resumed one.

        New trials get indices from `next_index` on, above those that wait. `successor(index)` proposes a new trial;
        if it returns None, the sampler does.
        """
        super().__init__()
        self.study, self._sweep, self._waiting, self._listener = study, sweep, list(waiting), listener
        self._objectives, self._successor = sweep.objectives(), successor
        self._next_index = max([next_index] + [proposal.index + 1 for proposal in waiting])
        self._running: dict[str, tuple[optuna.Trial, dict[str, Any]]] = {}
        self._failed: dict[str, End] = {}
        self.broken: Exception | None = None
        self._looks: dict[str, dict[int, float]] = defaultdict(dict)

    def queue(self, proposal: Proposal) -> None:
        """Add a trial to propose before any new one."""
        self._waiting.append(proposal)

    # Ray's annotation leaves out FINISHED, a string.
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        with self._unbroken():
            return self._suggest(trial_id)

    def _suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._waiting:
            proposal = self._waiting.pop(0)
        elif self._next_index < self._sweep.n_trials:
            proposal = self._successor(self._next_index) or Proposal(self._next_index, {})
        else:
            # A running trial may still run out of memory and have to be retried.
            return None if self._running else Searcher.FINISHED
        self._next_index = max(self._next_index, proposal.index + 1)
        sampler = self.study.sampler
        assert isinstance(sampler, IndexedSampler), "study.new_study sets it"
        sampler.begin(proposal.index, proposal.overrides)
        trial = self.study.ask()
        chosen = suggest_all(trial, self._sweep.searched)
        parameters = self._listener.begin(dataclasses.replace(proposal, overrides=chosen))
        if parameters is None:
            self.study.tell(trial, state=TrialState.FAIL)
            return Searcher.FINISHED
        # Only after the record has the trial: a resume would skip an index without one.
        trial.set_user_attr("index", proposal.index)
        self._running[trial_id] = trial, parameters
        for step, look in proposal.looks:
            self._should_prune(trial_id, step, look)
        return parameters

    def take(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Record a trial's report; returns whether the study's pruner prunes the trial."""
        with self._unbroken():
            self._listener.progressed(self._running[trial_id][1], result)
            if "look" not in result or "end" in result:
                return False
            return self._should_prune(trial_id, result["step"], result["look"])

    def _should_prune(self, trial_id: str, step: int, look: float) -> bool:
        """Report a smoothed look and ask the pruner; Optuna prunes for a single objective only.

        A resumed trial reports its earlier looks again; each counts once.
        """
        if len(self._objectives) > 1:
            return False
        trial, looks = self._running[trial_id][0], self._looks[trial_id]
        if step not in looks:
            looks[step] = look
            trial.report(looks_of_study(looks.items(), self._sweep)[step], step)
        return trial.should_prune()

    def failed(self, trial_id: str, end: End) -> None:
        """Set the end of a trial whose process could not report it."""
        self._failed[trial_id] = end

    @contextmanager
    def _unbroken(self) -> Iterator[None]:
        """Raise the driver's first own error, such as a full disk, again at every later call.

        Ray Tune can mistake what its callbacks raise for a failure of the trial, and retry the trial.
        """
        if self.broken is not None:
            raise self.broken
        try:
            yield
        except Exception as error:
            self.broken = error
            raise

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        with self._unbroken():
            self._complete(trial_id, result, error)

    def _complete(self, trial_id: str, result: dict | None, error: bool) -> None:
        trial, parameters = self._running[trial_id]
        end = self._failed.pop(trial_id, End("failed")) if error else End.from_result(result or {})
        # The record first, because it is authoritative: a trial that only the study has as done would run again.
        again = self._listener.ended(parameters, end)
        del self._running[trial_id]
        self._looks.pop(trial_id, None)
        if end.is_done:
            self.study.tell(trial, [objective.value_of(end.scores) for objective in self._objectives])
        else:
            self.study.tell(trial, state=TrialState.PRUNED if end.state == "pruned" else TrialState.FAIL)
        if again is not None:
            self.queue(again)

    def on_trial_result(self, trial_id: str, result: dict) -> None:
        """Do nothing: the scheduler passes results to `take`."""

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Ray Tune would pickle the searcher, but a resume never reads that."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: a sweep resumes from its study and ledger."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing, as `save`."""


class LookScheduler(FIFOScheduler):
    """Asks the study's pruner at each look of a trial, and passes the end of a failed process to the searcher.

    `end_of(trial)` is the end and the reason that a trial whose process failed would have reported.
    """

    def __init__(self, searcher: StudySearcher, end_of: Callable[[Any], End] | None = None) -> None:
        super().__init__()
        self._searcher, self._end_of = searcher, end_of

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Called at every error of a trial; the searcher uses the end of the last one.

        A trial that waits has an error only if a process that ran another before was to run it, and could not. Ray Tune
        counts such a death twice, and gives the trial up although its own process has not even begun.
        """
        if trial.status == Trial.PENDING:
            self._searcher.failed(trial.trial_id, End("interrupted", NEVER_BEGAN, never_began=True))
        elif self._end_of is not None:
            self._searcher.failed(trial.trial_id, self._end_of(trial))

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict) -> str:
        return self.STOP if self._searcher.take(trial.trial_id, result) else self.CONTINUE


def looks_of_study(looks: Iterable[tuple[int, float]], sweep: Sweep) -> dict[int, float]:
    """Looks by step as the study stores them: the running mean of the newest, negated if the study minimises.

    A larger look is always better, while an objective may be minimised; Optuna compares both in the study's direction.
    """
    ordered, n = sorted(looks), sweep.limits.pruning.smoothing
    sign = 1 if sweep.objectives()[0].direction == "maximize" else -1
    recent = {step: ordered[max(0, last + 1 - n) : last + 1] for last, (step, _) in enumerate(ordered)}
    return {step: sign * sum(look for _, look in part) / len(part) for step, part in recent.items()}

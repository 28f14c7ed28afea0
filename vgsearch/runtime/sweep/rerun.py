"""Trains points of a search again on other seeds, on Ray Tune, with separate events and folders."""

from dataclasses import replace
from typing import Any

from optuna.pruners import NopPruner
from optuna.storages import InMemoryStorage
from rich.console import Console

from vgsearch.evaluation.comparable import protocol_digest, refuse_other_protocol
from vgsearch.evaluation.confirmation import ConfirmationPlan, points_to_confirm, remaining_runs
from vgsearch.experiment.end import STOPPED, End
from vgsearch.experiment.ledger import CONFIRM, Ledger, SweepRecord
from vgsearch.experiment.paths import TrialFolder, run_id
from vgsearch.runtime.cluster.cluster import Resources
from vgsearch.runtime.judging.prepare import prepare_inputs
from vgsearch.runtime.study.proposal import Proposal
from vgsearch.runtime.study.searcher import StudySearcher
from vgsearch.runtime.study.study import new_study
from vgsearch.runtime.sweep.driver import Driver
from vgsearch.runtime.sweep.launch import stop_on_interrupt
from vgsearch.runtime.sweep.tune import run_searcher
from vgsearch.terminal.sweep_table import SweepView


class RerunDriver(Driver):
    """Writes the events of runs, which are named by point, seed and fold and kept apart from the search's trials."""

    fold = 0

    @property
    def record(self) -> SweepRecord:
        return _confirmation(self.ledger)

    def name_of(self, proposal: Proposal) -> str:
        point = next(trial for trial in self.ledger.record.trials.values() if trial.index == proposal.index)
        return run_id(point.trial_id, proposal.changed["seed"], self.fold)

    def folder_of(self, trial: str) -> TrialFolder:
        return self.experiment.confirm_run(trial)

    def ended(self, parameters: dict[str, Any], end: End) -> Proposal | None:
        """As of a trial; a run is not what `vgsearch resume` continues."""
        reason = "stopped; the same vgsearch confirm continues it" if end.reason == STOPPED else end.reason
        return super().ended(parameters, replace(end, reason=reason))

    def _record(self, event: str, **fields: Any) -> None:
        super()._record(CONFIRM + event, **fields)


def _confirmation(ledger: Ledger) -> SweepRecord:
    """The record of a confirmation; raises ValueError if the ledger has no event of one."""
    if ledger.record.confirmation is None:
        raise ValueError(f"{ledger.path} has no event of a confirmation; append {CONFIRM}sweep_started first.")
    return ledger.record.confirmation


def run_again(plan: ConfirmationPlan, ledger: Ledger, cluster: Resources, console: Console, json_lines: bool) -> None:
    """Run the rest of a confirmation until it is done or asked to stop.

    Under the protocol of its search, but scored on the test clips, which no search has seen.
    """
    sweep, seeds = plan.sweep, list(plan.seeds)
    inputs = prepare_inputs(sweep, plan.manifest, "test", console)
    if not plan.fold:  # on a fold the real clips are others
        refuse_other_protocol(plan.experiment, sweep, inputs.facts, ledger.record, sweep.scored_split(plan.manifest))
    digest = protocol_digest(sweep, inputs.facts, "test")
    objective = [str(objective) for objective in sweep.objectives()]
    ledger.append(f"{CONFIRM}sweep_started", objective=objective, protocol=digest, split="test", top=plan.top,
                  seeds=seeds)  # fmt: skip
    n_runs = len(points_to_confirm(ledger.record, plan.top)) * len(seeds)
    view = SweepView(console, _confirmation(ledger), n_runs, json_lines)
    driver = RerunDriver(plan.experiment, sweep, inputs, ledger, view)
    driver.fold = plan.fold
    proposals = [
        Proposal(point.index, point.overrides, point.is_paper_point, changed={"seed": seed})
        for point, seed in remaining_runs(ledger.record, plan.top, seeds, plan.fold)
    ]
    # A study in memory, which proposes nothing and prunes nothing.
    fixed = sweep.model_copy(update={"n_trials": 0})
    study = new_study(InMemoryStorage(), fixed)
    study.pruner = NopPruner()
    searcher = StudySearcher(study, fixed, proposals, driver)
    with stop_on_interrupt(plan.experiment, console), view.live():
        run_searcher(searcher, driver, cluster)

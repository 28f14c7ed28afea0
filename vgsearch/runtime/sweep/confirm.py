"""vgsearch confirm: the best points of a search and the paper's point, trained again on fresh seeds."""

import sys
from dataclasses import replace

from vgsearch.evaluation.confirmation import (
    ConfirmationPlan,
    confirmed,
    fresh_seeds,
    n_confirming_seeds,
    points_to_confirm,
    print_confirmation,
    remaining_runs,
    save,
)
from vgsearch.evaluation.folds import fold_manifests
from vgsearch.evaluation.initial_weights import notes_on_weights_of, weights_of
from vgsearch.experiment.ledger import Ledger, SweepRecord, read_ledger
from vgsearch.experiment.paths import DRIVEN, Experiment, short_id
from vgsearch.experiment.stop_when import NEVER
from vgsearch.runtime.cluster import preflight
from vgsearch.runtime.cluster.cluster import connect
from vgsearch.runtime.cluster.node_gpus import least_gpu_memory
from vgsearch.runtime.cluster.nodes import refuse_unfit_nodes
from vgsearch.runtime.sweep.launch import EXIT_INTERRUPTED, shared_folders, unchanged_data
from vgsearch.runtime.sweep.moving import AS_STARTED, OtherWorkers
from vgsearch.runtime.sweep.rerun import run_again
from vgsearch.runtime.sweep.resuming import refuse_earlier_version
from vgsearch.space.sweep import load_sweep
from vgsearch.terminal.console import Terminal
from vgsearch.terminal.line import print_line
from vgsearch.terminal.words import shown, typed
from videogan.storage.places import Place


def confirm(
    folder: Place,
    top: int,
    n_seeds: int,
    n_folds: int,
    address: str | None,
    json_lines: bool,
    workers: OtherWorkers = AS_STARTED,
) -> None:
    """Run the runs that have not ended, write confirm.json and print it; interrupted runs continue.

    Raises ConfigurationError for an experiment without a score, or whose data or protocol have changed.
    """
    console = Terminal(stderr=json_lines)
    experiment = Experiment.at(folder, DRIVEN)
    # The budgets of time, GPUs and disk, and when to stop, are those of the search.
    free = {"time_budget_hours": None, "disk_budget_bytes": None, "gpu_hours": None, "stop_when": NEVER}
    experiment.refuse_missing()
    with experiment.lock():
        ledger = Ledger.of(experiment)
        refuse_earlier_version(experiment, ledger.record)
        before = load_sweep(experiment.sweep).model_copy(update=free)
        sweep = workers.of(before)
        manifest = unchanged_data(experiment, sweep)
        plan = ConfirmationPlan(experiment, sweep, manifest, top, fresh_seeds(sweep, ledger.record, n_seeds))
        plans = _plans(plan, n_folds)
        n_left = sum(len(remaining_runs(ledger.record, top, own.seeds, own.fold)) for own in plans)
        console.print(_heading(plan, ledger.record, n_folds, n_left), soft_wrap=True)
        if n_left:
            notes_on_weights_of(sweep)
            with connect(address) as cluster:
                for note in workers.notes(before, cluster.n_gpus):
                    print_line(note, error=True)
                preflight.refuse_what_no_node_fits(sweep, manifest, cluster)
                refuse_unfit_nodes(shared_folders(experiment, sweep), weights_of(sweep))
                least_gpu_memory(sweep.gpus_per_worker, console)
                experiment.withdraw_stop_request()
                for own in plans:
                    if not experiment.is_stopping and remaining_runs(ledger.record, top, own.seeds, own.fold):
                        run_again(own, ledger, cluster, console, json_lines)
        stopped = experiment.is_stopping
        experiment.withdraw_stop_request()
        record = ledger.record
        points = confirmed(record, top, plan.seeds, n_folds)
        save(experiment.confirm, points, record, plan.seeds, n_folds)
        experiment.working_copy.push(lambda name: name == experiment.confirm.name)
    if not json_lines:
        print_confirmation(points, record, console)
        console.print(shown(experiment.place / experiment.confirm.name), soft_wrap=True)
    if stopped:
        again = f"vgsearch confirm {typed(experiment.place)} --top {top} --seeds {n_seeds}"
        again += (f" --folds {n_folds}" if n_folds else "") + workers.options
        console.print(f"stopped; resume with: {again}", soft_wrap=True)
        sys.exit(EXIT_INTERRUPTED)


def confirm_best(folder: Place, address: str | None, json_lines: bool) -> None:
    """After a search that asks for it, train its best point and the paper's again, and print the answer.

    Nothing happens if the search found no usable point, or has trials left.
    """
    experiment = Experiment.at(folder, DRIVEN)
    sweep, record = load_sweep(experiment.sweep), read_ledger(experiment.events)
    if not sweep.confirm_best or record.best is None or record.ended != "finished":
        return
    Terminal(stderr=json_lines).print()
    confirm(folder, 1, n_confirming_seeds(sweep.n_trials), 0, address, json_lines)


def _plans(plan: ConfirmationPlan, n_folds: int) -> list[ConfirmationPlan]:
    """One plan, or one for each fold of the search's data."""
    if not n_folds:
        return [plan]
    folds = enumerate(fold_manifests(plan.manifest, n_folds), start=1)
    return [replace(plan, manifest=manifest, fold=number) for number, manifest in folds]


def _heading(plan: ConfirmationPlan, record: SweepRecord, n_folds: int, n_left: int) -> str:
    points = points_to_confirm(record, plan.top)
    n_runs = len(points) * len(plan.seeds) * max(1, n_folds)
    named = " ".join(short_id(point.trial_id) for point in points)
    on_folds = f"{n_folds} folds   " if n_folds else ""
    return (
        f"vgsearch confirm {shown(plan.experiment.place)}   {named} (with the paper's point)   "
        f"seeds {plan.seeds[0]} to {plan.seeds[-1]}   {on_folds}{n_runs} runs, {n_runs - n_left} ended"
    )

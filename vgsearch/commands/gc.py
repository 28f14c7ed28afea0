"""vgsearch gc EXP: delete checkpoints that are no longer needed."""

from typing import Annotated

import typer

from vgsearch.commands import options
from videogan.amounts import n_of


def gc(
    experiment: options.ExperimentFolder,
    disk_budget: options.DiskBudget = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be deleted.")] = False,
    json: options.Json = False,
) -> None:
    """Delete checkpoints of ended trials, the worst first, until the rest fits the disk budget.

    --disk-budget defaults to the sweep's own; without either, only --dry-run is allowed, which lists all of them.
    Never deleted: those of the best trial or Pareto front, of the paper's points, and of trials to resume.
    """
    import json as json_module
    import shutil

    from vgsearch.experiment.ledger import Ledger
    from vgsearch.experiment.paths import DRIVEN, Experiment
    from vgsearch.experiment.retention import CheckpointDisk, ray_leftovers
    from vgsearch.space.amounts import bytes_of
    from vgsearch.space.sweep import load_sweep
    from vgsearch.terminal.console import Terminal
    from vgsearch.terminal.sweep_table import trial_result
    from vgsearch.terminal.words import size
    from videogan.config import ConfigurationError

    folder = Experiment.at(experiment, DRIVEN)
    console = Terminal(quiet=json)
    folder.refuse_missing()
    with folder.lock():
        budget = bytes_of(disk_budget, "--disk-budget") if disk_budget else load_sweep(folder.sweep).disk_budget_bytes
        if budget is None and not dry_run:
            raise ConfigurationError(
                "gc needs --disk-budget SIZE: it deletes the worst trials' checkpoints until the rest fits. 1B keeps only "
                "those of the best trial, of the paper's points and of trials to resume; --dry-run lists the others."
            )
        ledger = Ledger.of(folder)
        disk, freed = CheckpointDisk(folder, ledger, budget), 0
        before, dropped = disk.used, list(disk.to_drop())
        for trial, n_bytes in dropped:
            result = trial_result(trial, ledger.record.objectives) if trial.state == "done" else trial.reason
            console.print(f"{trial.trial_id}  {size(n_bytes):>8}  {trial.state}  {result}", soft_wrap=True)
            freed += n_bytes
            if not dry_run:
                disk.drop(trial, "gc")
        leftovers = ray_leftovers(folder)
        for path, _ in leftovers if not dry_run else ():
            shutil.rmtree(path)
    freed += sum(n_bytes for _, n_bytes in leftovers)
    if json:
        trials = {trial.trial_id: n_bytes for trial, n_bytes in dropped}
        print(json_module.dumps({"freed_bytes": freed, "dry_run": dry_run, "trials": trials, "kept_bytes": disk.used}))
        return
    kept = before - sum(n_bytes for _, n_bytes in dropped)
    console.print(
        f"{'would free' if dry_run else 'freed'} {size(freed)}: checkpoints of {n_of(len(dropped), 'trial')} and Ray's "
        f"temporary files; {size(kept)} of checkpoints stay"
    )
    if budget is not None and kept > budget:
        console.print(
            f"this is more than --disk-budget {size(budget)}: checkpoints of the best trial, the paper's points "
            "and unfinished trials are always kept"
        )

"""What a sweep goes on with: the settings it began with, the trials that it still owes, those that are to be tried again."""

import re

from vgsearch.experiment.ledger import UNFINISHED, SweepRecord, TrialRecord
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.study.proposal import Proposal
from vgsearch.space.space import load_space
from vgsearch.space.sweep import LEAST_CLIPS_A_WORKER, Sweep, differences, load_sweep
from videogan.config import ConfigurationError, parse_config

RETRIED = {"none": (), "failed": ("failed", "out_of_memory", "stalled", "lost"), "diverged": ("diverged",)}
"""The ends that `--retry` starts again: those that another day may spare a trial, or that other draws may."""
BATCH_SIZE = "loop.batch_size"
SEED_OF_RETRIES = 1_000_000
"""Added to a trial's seed for each start after a divergence, which the same draws would lead to again."""
FREE = (
    "n_trials", "max_concurrent", "time_budget_hours", "gpus_per_worker", "data", "space_source", "keep", "disk_budget_bytes",
)  # fmt: skip
"""Settings that may change while a sweep goes on; the digest of its manifest says whether the data are the same."""


def begun_sweep(experiment: Experiment, record: SweepRecord, trials: str | None) -> Sweep:
    """The sweep as it began, with more trials where `trials` asks for them; raises ConfigurationError for an edited one."""
    began = record.header.get("sweep")
    if began is None:
        sweep = load_sweep(experiment.sweep)
    else:
        began = parse_config(Sweep, began, f"{experiment.events}, the sweep as it began")
        # The ledger knows the sweep: a copy that was lost is written again.
        sweep = load_sweep(experiment.sweep) if experiment.sweep.exists() else began
        _refuse_edited(experiment, began, sweep)
    return sweep if trials is None else sweep.model_copy(update={"n_trials": _n_trials(trials, sweep, record)})


def _refuse_edited(experiment: Experiment, began: Sweep, now: Sweep) -> None:
    fixed = [sweep.model_dump(mode="json", exclude=set(FREE)) for sweep in (began, now)]
    if lines := differences(*fixed):
        told = "\n".join(f"  {line}" for line in lines)
        raise ConfigurationError(
            f"{experiment.place / experiment.sweep.name} has changed since the sweep began, and its trials would not compare:\n"
            f"{told}\n"
            "Put these back, or start a new sweep: vgsearch tune SPACE."
        )


def _n_trials(asked: str, sweep: Sweep, record: SweepRecord) -> int:
    """'+16' adds to what the sweep has, '48' is how many it shall have in all."""
    if not re.fullmatch(r"\+?[1-9]\d*", asked):
        raise ConfigurationError(f"--trials must look like +16 (more) or 48 (in all), got '{asked}'.")
    n_trials = int(asked) + (sweep.n_trials if asked.startswith("+") else 0)
    if n_trials < record.next_index:
        raise ConfigurationError(
            f"--trials {asked}: {record.next_index} trials have begun already. Use --trials +N for N more."
        )
    return n_trials


def notes_of_space(sweep: Sweep) -> list[str]:
    """Says where the space's own file is not what the sweep began with: the sweep goes on with its copy."""
    try:
        now = load_space(sweep.space_source)
    except ConfigurationError:
        return []  # gone, or of another version: nothing of it is needed
    # Not its paper's points: `vgsearch train --point` keeps the one it trains.
    lines = differences(*(space.model_dump(mode="json", exclude={"paper_points"}) for space in (sweep.space, now)))
    if not lines:
        return []
    told = "\n".join(f"  {line}" for line in lines)
    return [f"note: {sweep.space_source} has changed; the sweep goes on with its own copy, in sweep.yaml:\n{told}"]


def left_to_do(record: SweepRecord, sweep: Sweep, retry: str = "none") -> list[Proposal]:
    """What comes before anything new: trials that were cut off, those to be tried again, paper's points not begun."""
    if retry not in RETRIED:
        raise ConfigurationError(f"--retry must be one of {', '.join(RETRIED)}, got '{retry}'.")
    trials = sorted(record.trials.values(), key=lambda trial: trial.index)
    waiting = [Proposal.again(trial) for trial in trials if trial.state in UNFINISHED]
    # A driver killed between a trial's end and its second start owes that.
    halved = {trial.index: again for trial in trials if (again := at_half_the_batch(trial, sweep))}
    waiting += halved.values()
    waiting += [_tried_again(t, sweep) for t in trials if t.state in RETRIED[retry] and t.index not in halved]
    begun = {trial.index for trial in trials}
    points = enumerate(sweep.paper_points[: sweep.n_trials])
    return waiting + [Proposal(index, point, is_paper_point=True) for index, point in points if index not in begun]


def _tried_again(trial: TrialRecord, sweep: Sweep) -> Proposal:
    """A failed trial goes on from its newest checkpoint; a diverged one starts from nothing with a seed of its own."""
    again = Proposal.again(trial)
    if trial.state != "diverged":
        return again
    seed = sweep.run_config(trial.overrides, trial.index, trial.changed).seed + SEED_OF_RETRIES
    return again.anew_with({"seed": seed})


def at_half_the_batch(trial: TrialRecord, sweep: Sweep) -> Proposal | None:
    """A trial that ran out of memory once more, from nothing; None for other ends, and where it was tried already.

    Nor where the batch is searched: a trial of half its batch says nothing about the point that was proposed.
    """
    if trial.state != "out_of_memory" or BATCH_SIZE in (*trial.changed, *trial.overrides):
        return None
    half, odd = divmod(sweep.run_config(trial.overrides, trial.index, trial.changed).loop.batch_size, 2)
    if odd or half % sweep.n_workers or half < LEAST_CLIPS_A_WORKER * sweep.n_workers:
        return None
    return Proposal.again(trial).anew_with({BATCH_SIZE: half})


def is_over(record: SweepRecord, sweep: Sweep, waiting: list[Proposal]) -> bool:
    """Whether nothing is left of a sweep but to tell its result."""
    return not waiting and record.next_index >= sweep.n_trials and record.floor is not None

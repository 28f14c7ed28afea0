"""What a resumed sweep starts from: the settings it started with, the trials left to run, and those to retry."""

import re

from vgsearch.experiment.ledger import UNFINISHED, SweepRecord, TrialRecord
from vgsearch.experiment.paths import Experiment
from vgsearch.experiment.scoring import made_by_earlier_version
from vgsearch.runtime.study.proposal import Proposal
from vgsearch.space.space import Space, load_space
from vgsearch.space.sweep import Sweep, differences, load_sweep
from videogan.amounts import n_of
from videogan.config import ConfigurationError, parse_config
from videogan.training.run_config import LEAST_CLIPS, RunConfig

RETRIED = {"none": (), "failed": ("failed", "out_of_memory", "stalled", "lost"), "diverged": ("diverged",)}
"""The states that each value of `--retry` starts again."""
BATCH_SIZE = "loop.batch_size"
SEED_OF_RETRIES = 1_000_000
"""Added to a trial's seed for each start after a divergence: the same draws would diverge again."""
FREE = (
    "n_trials", "max_concurrent", "time_budget_hours", "n_workers", "gpus_per_worker", "data", "space_source", "keep",
    "disk_budget_bytes", "tags", "gpu_hours", "stop_when", "log",
)  # fmt: skip
"""Settings that may change when a sweep is resumed; the digest of the manifest shows whether the data are the same."""


def refuse_earlier_version(experiment: Experiment, record: SweepRecord) -> None:
    """Raise ConfigurationError for an experiment that an earlier version of the score has scored."""
    if earlier := made_by_earlier_version(record):
        raise ConfigurationError(
            f"{experiment.name} was {earlier}. Start a new sweep, or go on with the version that started it."
        )


def sweep_to_resume(experiment: Experiment, record: SweepRecord, trials: str | None) -> Sweep:
    """The sweep as it started, with more trials if `trials` requests them; raises ConfigurationError if edited."""
    written = record.header.get("sweep")
    if written is None:
        sweep = load_sweep(experiment.sweep)
    else:
        started = parse_config(Sweep, written, f"{experiment.events}, the sweep as it started")
        # The ledger holds the sweep, so a lost sweep.yaml is written again.
        sweep = load_sweep(experiment.sweep) if experiment.sweep.exists() else started
        _refuse_edited(experiment, started, sweep)
    return sweep if trials is None else sweep.model_copy(update={"n_trials": _n_trials(trials, sweep, record)})


def _refuse_edited(experiment: Experiment, started: Sweep, now: Sweep) -> None:
    before, after = (sweep.model_dump(mode="json", exclude=set(FREE)) for sweep in (started, now))
    if lines := differences(before, after):
        changes = "\n".join(f"  {line}" for line in lines)
        raise ConfigurationError(
            f"{experiment.place / experiment.sweep.name} has changed since the sweep started; its trials would not "
            f"be comparable:\n{changes}\nRestore these settings, or start a new sweep: vgsearch tune SPACE."
        )


def _n_trials(trials: str, sweep: Sweep, record: SweepRecord) -> int:
    """The number of trials: '+16' adds to those of the sweep, '48' is the total."""
    if not re.fullmatch(r"\+?[1-9]\d*", trials):
        raise ConfigurationError(f"--trials must look like +16 (more) or 48 (in all), got '{trials}'.")
    n_trials = int(trials) + (sweep.n_trials if trials.startswith("+") else 0)
    if n_trials < record.next_index:
        raise ConfigurationError(
            f"--trials {trials}: already started: {n_of(record.next_index, 'trial')}. Use --trials +N for N more."
        )
    return n_trials


def notes_of_space(sweep: Sweep) -> list[str]:
    """A note on what has changed in the space's own file: the sweep continues with its copy."""
    try:
        now = load_space(sweep.space_source)
    except ConfigurationError:
        return []  # deleted, or of another version; the sweep does not need it
    now = _on_the_data_set_of(sweep, now)
    # Without its paper's points: `vgsearch train --point` keeps only the one it trains.
    before, after = (space.model_dump(mode="json", exclude={"paper_points"}) for space in (sweep.space, now))
    lines = differences(before, after)
    if not lines:
        return []
    changes = "\n".join(f"  {line}" for line in lines)
    return [f"note: {sweep.space_source} has changed; the sweep continues with its own copy, in sweep.yaml:\n{changes}"]


def _on_the_data_set_of(sweep: Sweep, now: Space) -> Space:
    """The space as its file is now, on the data set for which the sweep has taken the paper's settings, if it has."""
    taken = sweep.space.data_sets
    if len(taken) > 1:  # a start takes those of one data set, or of none
        return now
    name = next(iter(taken), "")
    # A frame size that ruled out the paper's frames then rules them out now.
    has_frames = "data.preprocessing" in taken.get(name, {})
    return now.on_data_set(name, () if has_frames else ("model.resolution",))


def left_to_do(record: SweepRecord, sweep: Sweep, retry: str = "none") -> list[Proposal]:
    """The trials to run before new ones: interrupted trials, those to retry, paper's points that have not started."""
    if retry not in RETRIED:
        raise ConfigurationError(f"--retry must be one of {', '.join(RETRIED)}, got '{retry}'.")
    trials = sorted(record.trials.values(), key=lambda trial: trial.index)
    waiting = [Proposal.again(trial) for trial in trials if trial.state in UNFINISHED]
    # A driver may have been killed between such a trial's end and its second start.
    halved = {trial.index: again for trial in trials if (again := at_half_the_batch(trial, sweep))}
    waiting += halved.values()
    waiting += [_retried(t, sweep) for t in trials if t.state in RETRIED[retry] and t.index not in halved]
    started = {trial.index for trial in trials}
    points = enumerate(sweep.paper_points[: sweep.n_trials])
    return waiting + [Proposal(index, point, is_paper_point=True) for index, point in points if index not in started]


def _retried(trial: TrialRecord, sweep: Sweep) -> Proposal:
    """A failed trial continues from its newest checkpoint; a diverged one starts from step 0 with another seed."""
    again = Proposal.again(trial)
    if trial.state != "diverged":
        return again
    seed = sweep.run_config(trial.overrides, trial.index, trial.changed).seed + SEED_OF_RETRIES
    return again.restarted_with({"seed": seed})


def at_half_the_batch(trial: TrialRecord, sweep: Sweep) -> Proposal | None:
    """A trial that ran out of memory, from step 0 with half the batch; None for other ends, and if it was retried.

    Also None if the batch is searched: the result would belong to another point.
    """
    if trial.state != "out_of_memory" or BATCH_SIZE in (*trial.changed, *trial.overrides):
        return None
    config = sweep.run_config(trial.overrides, trial.index, trial.changed)
    if not isinstance(config, RunConfig):
        return None  # another program's batch is its own
    loop = config.loop
    half, odd = divmod(loop.batch_size, 2)
    n_parts = sweep.n_workers * loop.accumulate
    if odd or half % n_parts or half < LEAST_CLIPS * n_parts:
        return None
    return Proposal.again(trial).restarted_with({BATCH_SIZE: half})


def is_over(record: SweepRecord, sweep: Sweep, waiting: list[Proposal]) -> bool:
    """Whether a sweep has nothing left to run."""
    return not waiting and record.next_index >= sweep.n_trials and (record.floor is not None or not sweep.has_floor)

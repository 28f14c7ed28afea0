"""The checkpoint that a user names: a file, or the best of a trial or of an experiment."""

import math
import re
import shlex

from vgsearch.experiment.found_sweep import found_sweep
from vgsearch.experiment.ledger import SweepRecord, TrialRecord
from vgsearch.experiment.paths import Experiment, TrialFolder, short_id
from videogan.config import ConfigurationError
from videogan.storage.places import Place, RemotePath, place
from videogan.training.exported_model import GENERATOR


def find_trial(record: SweepRecord, written: str) -> TrialRecord:
    """The trial whose id begins with `written`; raises ConfigurationError if none does, or more than one."""
    found = [trial for trial_id, trial in record.trials.items() if trial_id.startswith(written)]
    if len(found) == 1 and written:
        return found[0]
    ids = list(record.trials)
    if not ids:
        raise ConfigurationError(f"no trial '{written}': no trial has started yet.")
    if found and written:
        raise ConfigurationError(
            f"'{written}' matches {len(found)} trials: {', '.join(t.trial_id for t in found[:8])}."
        )
    span = f"there are {len(ids)}, {ids[0]} to {ids[-1]}" if len(ids) > 1 else f"there is only {ids[0]}"
    raise ConfigurationError(f"no trial begins with '{written}'; {span}.")


def experiment_and_trial(where: Place) -> tuple[Experiment, str]:
    """The experiment at EXP, EXP/t0007 or EXP/trials/t0007-3fa9c1, and the trial as written, "" for EXP.

    Raises ConfigurationError if there is no sweep.
    """
    where = place(where)
    given = Experiment.at(where)
    if given.has_events:
        return given, ""
    above = where.parent.parent if where.parent.name == "trials" else where.parent
    experiment = Experiment.at(above)
    if not experiment.has_events:
        raise (experiment if re.match(r"t\d", where.name) else given).missing()
    return experiment, where.name


def chosen_trial(where: Place) -> tuple[Experiment, SweepRecord, TrialRecord]:
    """The trial at EXP/TRIAL, or the best trial of EXP; raises ConfigurationError if there is none."""
    experiment, written = experiment_and_trial(where)
    record = found_sweep(experiment)
    trial = find_trial(record, written) if written else record.best
    if trial is None:
        raise ConfigurationError(
            f"no trial of {experiment.place} is its best: none was scored, or each copies training clips. "
            f"Name one, such as {experiment.place}/{next(map(short_id, record.trials), 't0000')}."
        )
    return experiment, record, trial


def chosen_checkpoint(where: Place) -> Place:
    """As `found_checkpoint`, without the reason."""
    return found_checkpoint(where)[0]


def found_checkpoint(where: Place) -> tuple[Place, str]:
    """The checkpoint file that `where` means, and which step that is and why if the trial is not done.

    It is the file itself, that in an exported folder, or the best of EXP/TRIAL or of EXP.

    The best of a done trial is the one that was scored, its last; of another the one with the best look, else the
    newest. Raises ConfigurationError if there is none.
    """
    where = place(where)
    if where.name.endswith(".pt"):
        return where, ""
    if not isinstance(where, RemotePath) and (where.is_file() or (where / GENERATOR).is_file()):
        return (where if where.is_file() else where / GENERATOR), ""
    experiment, record, trial = chosen_trial(where)
    folder = experiment.trial(trial.trial_id)
    if record.is_of_program:
        raise ConfigurationError(
            f"{folder.place} ran another program, which alone can read its checkpoints; score the videos that it wrote: "
            f"vgsearch evaluate --videos {shlex.quote(f'{folder.place}/program/samples/step_N')} "
            f"--data {shlex.quote(record.header['data'])}."
        )
    steps = _steps(folder)
    if not steps:
        raise ConfigurationError(f"{folder.place} {_why_none(folder, trial)}.")
    step = max(steps) if trial.state == "done" else max(steps, key=lambda step: (_look(trial, step), step))
    file = folder.place / folder.checkpoints.name / f"step{step:08d}.pt"
    return file, "" if trial.state == "done" else _why(trial, step)


def _why(trial: TrialRecord, step: int) -> str:
    """Which checkpoint of an unfinished or failed trial is taken."""
    why = "its newest, as none has a look" if _look(trial, step) == -math.inf else "which has the best look"
    return (
        f"{short_id(trial.trial_id)} ({trial.state} at step {trial.step}): using its checkpoint of step {step}, {why}"
    )


def _steps(folder: TrialFolder) -> list[int]:
    names = folder.working_copy.sizes(folder.checkpoints.name)
    return [
        int(name[4:-3]) for name in names if name.startswith("step") and name.endswith(".pt") and name[4:-3].isdigit()
    ]


def _look(trial: TrialRecord, step: int) -> float:
    look = trial.looks.get(step, math.nan)
    return look if math.isfinite(look) else -math.inf


def _why_none(folder: TrialFolder, trial: TrialRecord) -> str:
    if trial.checkpoints_dropped:
        return f"has no checkpoint: they were deleted ({trial.checkpoints_dropped})"
    of_class = folder.of_class(0) / folder.checkpoints.name
    if folder.checkpoint_sizes():
        return f"has a generator for each class; give the checkpoint of one, in {of_class}"
    return "has no checkpoint yet" if trial.state == "running" else "has no checkpoint"

"""A sweep as a reader finds it: what a driver that was killed left running does not run."""

import time

from vgsearch.experiment.driver_signs import DriverSigns
from vgsearch.experiment.end import KILLED
from vgsearch.experiment.ledger import SweepRecord, TrialRecord, read_ledger
from vgsearch.experiment.metrics_lines import read_lines
from vgsearch.experiment.paths import Experiment, TrialFolder


def found_sweep(experiment: Experiment) -> SweepRecord:
    """The state of a sweep by its ledger and, of trials whose driver was killed, by their files."""
    record = read_ledger(experiment.events)
    mark_killed(record, experiment)
    return record


def mark_killed(record: SweepRecord, experiment: Experiment) -> None:
    """Mark as killed what the ledger calls running although its driver ended without a word."""
    found = ((record, experiment.trial), (record.confirmation, experiment.confirm_run))
    parts = [(part, folder_of) for part, folder_of in found if part is not None and part.starts]
    lacks_end = any(not part.ended for part, _ in parts)
    is_gone = lacks_end and bool(DriverSigns(experiment).gone(time.monotonic()))
    if is_gone and not record.ended:
        record.ended = KILLED
    for part, folder_of in parts:
        if not (part.ended or is_gone):
            continue
        for trial in part.trials.values():
            if trial.state in ("running", KILLED):
                trial.kill(*_last_known(trial, folder_of(trial.trial_id)))


def _last_known(trial: TrialRecord, folder: TrialFolder) -> tuple[int, float]:
    """Step and seconds of all its training, by the newest line of its metrics.jsonl; not by the file's time.

    A copy of an experiment has other times.
    """
    folder.working_copy.pull(lambda name: name == folder.metrics.name, delete=False)
    lines = read_lines(folder.metrics)[0] if folder.metrics.is_file() else []
    seconds = [float(line["seconds_training"]) for line in lines if "seconds_training" in line]
    return int(max((line["step"] for line in lines), default=trial.step)), max(seconds, default=0.0)

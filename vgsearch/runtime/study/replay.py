"""The study as the ledger tells it: the sweep's events through the same searcher again, without a trial or a draw."""

import sqlite3
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from vgsearch.experiment.end import End
from vgsearch.experiment.ledger import SweepRecord
from vgsearch.runtime.study.proposal import Proposal
from vgsearch.runtime.study.searcher import StudySearcher
from vgsearch.runtime.study.study import new_study, open_study, replace_study
from vgsearch.runtime.study.warm_start import add_known
from vgsearch.space.sweep import Sweep


class _Listener:
    """Keeps no record, for the record is what is played; its trials' parameters are nothing but their names."""

    def begin(self, proposal: Proposal) -> dict[str, Any]:
        return {"index": proposal.index}

    def progressed(self, parameters: dict[str, Any], result: dict[str, Any]) -> None: ...

    def ended(self, parameters: dict[str, Any], end: End) -> None: ...


def replay(events: Iterable[dict[str, Any]], study: optuna.Study, sweep: Sweep) -> None:
    """Asks and tells an empty `study` all that it was asked and told when the events came about.

    Each start becomes a trial with the number it had, its looks smoothed and its rungs climbed as they were; a trial
    that was cut off is closed as failed, as it is in every study that a new driver opens.
    """
    record, running = SweepRecord(), set()
    searcher = StudySearcher(study, sweep, [], _Listener())
    for event in events:
        trial_id = event.get("trial", "")
        if event["event"] == "trial_started" and trial_id in running:
            searcher.on_trial_complete(trial_id, End("interrupted").to_result())
        record.apply(event)
        if event["event"] == "warm_started":
            add_known(study, sweep, event["trials"])
        elif event["event"] == "trial_started":
            running.add(trial_id)
            searcher.queue(Proposal.again(record.trials[trial_id]))
            searcher.suggest(trial_id)
        elif event["event"] == "look":
            searcher.take(trial_id, event)
        elif event["event"] == "trial_ended":
            running.remove(trial_id)
            scores = {f"scores/{name}": value for name, value in record.trials[trial_id].scores.items()}
            searcher.on_trial_complete(trial_id, {"end": event["state"], **scores})
    for trial_id in running:
        searcher.on_trial_complete(trial_id, End("interrupted").to_result())


def study_of(path: Path, sweep: Sweep, events: Iterable[dict[str, Any]]) -> optuna.Study:
    """The study at `path`, made anew from the ledger's events where it is gone, damaged, or says other than they do."""
    replayed = new_study(InMemoryStorage(), sweep)
    replay(events, replayed, sweep)
    try:
        study = open_study(path, sweep)
        if _told(study) == _told(replayed):
            return study
        why = "says other than the ledger"
    except (sqlite3.Error, SQLAlchemyError, StorageInternalError) as error:
        why = f"does not open ({next(iter(str(error).splitlines()), type(error).__name__)})"
    if _told(replayed):
        print(f"note: the study in {sweep.storage or path} {why}; made anew from the ledger", file=sys.stderr)
    replace_study(path, sweep, replayed.get_trials(deepcopy=False))
    return open_study(path, sweep)


def _told(study: optuna.Study) -> list[tuple[Any, ...]]:
    return [_of(trial) for trial in study.get_trials(deepcopy=False) if not _never_began(trial)]


def _of(trial: FrozenTrial) -> tuple[Any, ...]:
    looks = sorted(trial.intermediate_values.items())
    # What a sampler notes down of a proposal is for other processes to see while the trial runs.
    rungs = {name: value for name, value in trial.system_attrs.items() if not name.startswith(("tpe:", "gp:"))}
    return trial.state, trial.values, trial.params, looks, trial.user_attrs, rungs


def _never_began(trial: FrozenTrial) -> bool:
    """A proposal that a stop, or a crash before it was recorded, left without a trial: the sampler doesn't see those."""
    return trial.state == TrialState.FAIL and "index" not in trial.user_attrs

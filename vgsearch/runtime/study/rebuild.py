"""Rebuilds the study from the ledger: gives the sweep's events to the same searcher, without training or drawing."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from vgsearch.experiment.end import End
from vgsearch.experiment.ledger import SweepRecord
from vgsearch.runtime.study.mirror import MirroredStorage
from vgsearch.runtime.study.proposal import Proposal
from vgsearch.runtime.study.searcher import StudySearcher
from vgsearch.runtime.study.study import new_study, open_storage, open_study, replace_study
from vgsearch.runtime.study.warm_start import add_known
from vgsearch.runtime.waits.waiting import waiting
from vgsearch.space.sweep import Sweep
from vgsearch.terminal.line import print_line

SECONDS_OF_A_LOCK = 60.0
"""How long a start waits for a program that has locked the database, before it makes another."""
LOCKED = ("database is locked", "lock timeout")
"""What SQLite and PostgreSQL say of a lock."""
Opened = TypeVar("Opened")


class _Listener:
    """Writes nothing, because the events come from the ledger; the parameters of a trial are its index."""

    def begin(self, proposal: Proposal) -> dict[str, Any]:
        return {"index": proposal.index}

    def progressed(self, parameters: dict[str, Any], result: dict[str, Any]) -> None: ...

    def ended(self, parameters: dict[str, Any], end: End) -> None: ...


def rebuild(events: Iterable[dict[str, Any]], study: optuna.Study, sweep: Sweep) -> None:
    """Ask an empty `study` for each trial of the events, and report its looks and its end.

    Each trial gets the number it had, the same smoothed looks and the same rungs of successive halving. A trial that
    was cut off is closed as failed, as in every study that a new driver opens.
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
    """The study at `path`, rebuilt from the ledger's events if it is missing, damaged or disagrees with them."""
    rebuilt = new_study(InMemoryStorage(), sweep)
    rebuild(events, rebuilt, sweep)
    try:
        study = _unlocked(path, lambda: open_study(path, sweep))
        if _content(study) == _content(rebuilt):
            return study
        why = "disagrees with the ledger"
    except (sqlite3.Error, SQLAlchemyError, StorageInternalError) as error:
        why = f"does not open ({next(iter(str(error).splitlines()), type(error).__name__)})"
    if _content(rebuilt):
        print_line(f"note: the study in {sweep.storage or path} {why}; rebuilt from the ledger", error=True)
    replace_study(path, sweep, rebuilt.get_trials(deepcopy=False))
    return open_study(path, sweep)


@contextmanager
def driven_study(path: Path, sweep: Sweep, events: Iterable[dict[str, Any]]) -> Iterator[optuna.Study]:
    """The study of `study_of` for a driver: a lock or a loss of its database does not stop the sweep."""
    study, named = study_of(path, sweep, events), str(sweep.storage or path)
    storage = _unlocked(path, lambda: MirroredStorage(open_storage(path, sweep), study.study_name, named))
    yield new_study(storage, sweep.model_copy(update={"study_name": study.study_name}))
    storage.finish()


def _unlocked(path: Path, opened: Callable[[], Opened]) -> Opened:
    """What `opened()` returns; waits for a program that has locked the study's database, such as a backup."""
    deadline = time.monotonic() + SECONDS_OF_A_LOCK
    ends = f"if another program locks it for {SECONDS_OF_A_LOCK:.0f} s, the ledger makes another; Ctrl-C stops"
    with waiting(f"the study in {path}", ends):
        while True:
            try:
                return opened()
            except (sqlite3.Error, SQLAlchemyError, StorageInternalError) as error:
                locked = any(words in f"{error} {error.__cause__}" for words in LOCKED)
                if not locked or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


def _content(study: optuna.Study) -> list[tuple[Any, ...]]:
    return [_of(trial) for trial in study.get_trials(deepcopy=False) if not _never_started(trial)]


def _of(trial: FrozenTrial) -> tuple[Any, ...]:
    looks = sorted(trial.intermediate_values.items())
    # A sampler stores a proposal for other processes, which read it while the trial runs: no part of the result.
    rungs = {name: value for name, value in trial.system_attrs.items() if not name.startswith(("tpe:", "gp:"))}
    return trial.state, trial.values, trial.params, looks, trial.user_attrs, rungs


def _never_started(trial: FrozenTrial) -> bool:
    """Whether the proposal never became a trial: a stop or crash came before the ledger entry. Samplers skip it."""
    return trial.state == TrialState.FAIL and "index" not in trial.user_attrs

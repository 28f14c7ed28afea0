"""The driver's study: in memory, and as a copy in its database, which other programs read and may lock."""

import sqlite3
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, InMemoryStorage
from sqlalchemy.exc import SQLAlchemyError

from vgsearch.runtime.waits.waiting import FIRST_TOLD, tell
from vgsearch.terminal.words import duration

SECONDS_BETWEEN_TRIES = 5.0
"""While the database cannot be written: each try may hold up the driver for `SECONDS_OF_A_TRY` of study.py."""
SECONDS_AT_END = 10.0
"""How long the end of a sweep waits for the database."""
UNWRITTEN = (OptunaError, SQLAlchemyError, sqlite3.Error, OSError, KeyError)
"""What a database raises that is locked, damaged, out of reach, or changed by another program."""


def _mirrored(in_memory: Callable[..., Any]) -> Any:
    """A change of the study: at once in memory, then in the database. Any: each has its own arguments."""

    def change(self: "MirroredStorage", of: int, *values: Any, **named: Any) -> Any:
        result = in_memory(self, of, *values, **named)
        self.late.append((in_memory.__name__, of, values, named))
        self.catch_up()
        return result

    return change


class MirroredStorage(InMemoryStorage):
    """A study that proposes from memory, so that its database never stops a sweep; what that misses is written later.

    The ledger has every event: a database that stays behind is rebuilt when the sweep is next started.
    """

    def __init__(self, database: BaseStorage, study_name: str, named: str) -> None:
        """Read the study `study_name` of a database that messages call `named`."""
        super().__init__()
        self._database, self._named = database, named
        self._study = database.get_study_id_from_name(study_name)
        self._trials: list[int] = []  # the database's number of each trial in memory
        self.late: deque[tuple[str, int, tuple[Any, ...], dict[str, Any]]] = deque()
        self._late_since, self._next_try, self._is_told = 0.0, 0.0, False
        own = super().create_new_study(database.get_study_directions(self._study), study_name)
        for name, value in database.get_study_user_attrs(self._study).items():
            super().set_study_user_attr(own, name, value)
        for name, value in database.get_study_system_attrs(self._study).items():
            super().set_study_system_attr(own, name, value)
        for trial in database.get_all_trials(self._study):
            super().create_new_trial(own, trial)
            self._trials.append(database.get_trial_id_from_study_id_trial_number(self._study, trial.number))

    create_new_trial = _mirrored(InMemoryStorage.create_new_trial)
    set_study_user_attr = _mirrored(InMemoryStorage.set_study_user_attr)
    set_study_system_attr = _mirrored(InMemoryStorage.set_study_system_attr)
    set_trial_param = _mirrored(InMemoryStorage.set_trial_param)
    set_trial_state_values = _mirrored(InMemoryStorage.set_trial_state_values)
    set_trial_intermediate_value = _mirrored(InMemoryStorage.set_trial_intermediate_value)
    set_trial_user_attr = _mirrored(InMemoryStorage.set_trial_user_attr)
    set_trial_system_attr = _mirrored(InMemoryStorage.set_trial_system_attr)

    def catch_up(self) -> None:
        """Write what the database misses; if that fails, leave it for a later call, and tell after half a minute."""
        now = time.monotonic()
        if now < self._next_try:
            return
        try:
            while self.late:
                self._write(*self.late[0])
                self.late.popleft()
        except UNWRITTEN as error:
            self._late_since, self._next_try = self._late_since or now, now + SECONDS_BETWEEN_TRIES
            if not self._is_told and now - self._late_since >= FIRST_TOLD:
                self._is_told = True
                tell(f"note: {self._named} could not be written for {duration(now - self._late_since)} "
                     f"({_reason(error)}); the sweep goes on without it")  # fmt: skip
            return
        if self._is_told:
            tell(f"note: {self._named} could be written again; it misses nothing")
        self._late_since, self._next_try, self._is_told = 0.0, 0.0, False

    def _write(self, change: str, of: int, values: tuple[Any, ...], named: dict[str, Any]) -> None:
        is_of_study = change.startswith("set_study") or change == "create_new_trial"
        result = getattr(self._database, change)(self._study if is_of_study else self._trials[of], *values, **named)
        if change == "create_new_trial":
            self._trials.append(result)

    def finish(self) -> None:
        """Write what the database misses; gives up after a while, and tells what makes it whole."""
        deadline = time.monotonic() + SECONDS_AT_END
        while self.late:
            self._next_try = 0.0
            self.catch_up()
            if self.late and time.monotonic() > deadline:
                tell(f"note: {self._named} misses the last {len(self.late)} changes of the study, because it could not "
                     "be written; the ledger has them, and the next start of this sweep writes them")  # fmt: skip
                return
            time.sleep(0.2 if self.late else 0)


def _reason(error: BaseException) -> str:
    """What the database said, without the words of the libraries between."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next(iter(str(error).splitlines()), "") or type(error).__name__

"""The Optuna study of a sweep: its storage, its objectives, its sampler and its pruner."""

import hashlib
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    NopPruner,
    PatientPruner,
    SuccessiveHalvingPruner,
)
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from vgsearch.runtime.study.near_median import NearMedianPruner
from vgsearch.runtime.study.population import PopulationPruner
from vgsearch.runtime.study.samplers import IndexedSampler, experimental, grid_of, refuse_unfit_sampler
from vgsearch.space.sweep import JOURNAL, Sweep
from videogan.config import ConfigurationError
from videogan.storage.set_aside import set_aside

SECONDS_OF_A_TRY = 1.0
"""How long one use of a database waits if another program has locked it; of optuna.db even Ctrl-C waits."""
SECONDS_OF_A_SERVER = 10
"""How long a PostgreSQL server has to accept a connection."""
OWNER, DIGITS_OF_OWNER = "experiment", 8
"""The attribute of a study that names its experiment's folder; digits of another folder in the name of its study."""
REDUCTION = 3
"""Of the trials at a rung of successive halving, one in this many goes on; Hyperband's rungs are the same."""


def open_study(path: Path, sweep: Sweep) -> optuna.Study:
    """The sweep's study, in its own file at `path` or in the sweep's `storage`; closes trials left running as failed.

    A killed driver left these; they are proposed again. Raises ConfigurationError if the study has other objectives
    than the sweep, and as `open_storage` does.
    """
    storage = open_storage(path, sweep)
    study = new_study(storage, _under_own_name(storage, path, sweep))
    if OWNER not in study.user_attrs:
        study.set_user_attr(OWNER, _owner(path))
    _name_objectives(study, [str(objective) for objective in sweep.objectives()], path)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def _under_own_name(storage: BaseStorage, path: Path, sweep: Sweep) -> Sweep:
    """The sweep, with another name for its study if the storage has one of an experiment in another folder.

    A copied experiment has the study's name of the first, whose driver may be running.
    """
    with suppress(KeyError):  # there is no such study
        study = storage.get_study_id_from_name(sweep.study_name)
        if storage.get_study_user_attrs(study).get(OWNER, _owner(path)) != _owner(path):
            digest = hashlib.sha256(_owner(path).encode()).hexdigest()[:DIGITS_OF_OWNER]
            return sweep.model_copy(update={"study_name": f"{sweep.study_name}-{digest}"})
    return sweep


def _owner(path: Path) -> str:
    return str(path.parent.absolute())


def new_study(storage: BaseStorage, sweep: Sweep) -> optuna.Study:
    """The sweep's study in `storage`, created unless it exists."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=storage,
        study_name=sweep.study_name,
        directions=[objective.direction for objective in sweep.objectives()],
        load_if_exists=True,
        sampler=sampler_of(sweep),
        pruner=_pruner(sweep),
    )


def replace_study(path: Path, sweep: Sweep, trials: list[FrozenTrial]) -> None:
    """Replace the study by one with these trials; a study in its own file is replaced atomically."""
    if sweep.storage is not None:
        storage = open_storage(path, sweep)
        sweep = _under_own_name(storage, path, sweep)
        if sweep.study_name in {study.study_name for study in storage.get_all_studies()}:
            optuna.delete_study(study_name=sweep.study_name, storage=storage)
        new_study(storage, sweep).add_trials(trials)
        return
    part = path.with_name(f".{path.name}.part")
    _remove(part)
    try:
        storage = RDBStorage(_sqlite(part))
        new_study(storage, sweep).add_trials(trials)
        storage.engine.dispose()
        if path.is_dir():
            set_aside(path, "must be a database, but is a folder", "writing the study")
        _remove(path)
        os.replace(part, path)
    finally:
        _remove(part)


def _remove(path: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sqlite(path: Path) -> str:
    """SQLAlchemy's URL of a file whose name may hold any character."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def open_storage(path: Path, sweep: Sweep) -> BaseStorage:
    """SQLite at `path`, or the sweep's `storage`: a PostgreSQL server, or a journal file that several hosts may share.

    Raises ConfigurationError if the server's driver is not installed or the server does not answer.
    """
    if sweep.storage is None:
        if str(path) != ":memory:":
            _write_ahead(path)
        return RDBStorage(_sqlite(path), engine_kwargs={"connect_args": {"timeout": SECONDS_OF_A_TRY}})
    if sweep.storage.endswith(JOURNAL):
        return JournalStorage(JournalFileBackend(sweep.storage))
    try:
        return RDBStorage(sweep.storage, engine_kwargs={"connect_args": _limits_of_waits(sweep.storage)})
    except ImportError as error:
        raise ConfigurationError(
            f"--storage {sweep.storage}: {error.msg.splitlines()[0]} pip install vgsearch[postgresql]."
        ) from error
    except SQLAlchemyError as error:
        reason = next(iter(str(error.__cause__ or error).splitlines()), "")
        raise ConfigurationError(
            f"--storage {sweep.storage} cannot be opened: {reason}. Set a password in PGPASSWORD or ~/.pgpass."
        ) from error


def _limits_of_waits(server: str) -> dict[str, Any]:
    """Settings of connections to a PostgreSQL server, which would wait for ever, unless its address has them.

    Any: each setting has its own type.
    """
    own = {"connect_timeout": SECONDS_OF_A_SERVER, "options": f"-c lock_timeout={1000 * SECONDS_OF_A_TRY:.0f}"}
    return {name: value for name, value in own.items() if name not in make_url(server).query}


def _write_ahead(path: Path) -> None:
    """Turn on SQLite's write-ahead log, stored in the file: a dashboard can read while the driver writes."""
    connection = sqlite3.connect(path, timeout=SECONDS_OF_A_TRY)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def _name_objectives(study: optuna.Study, written: list[str], path: Path) -> None:
    """Store the objectives' names in the study, which otherwise has only their directions."""
    if study.metric_names is None:
        with experimental():
            study.set_metric_names(written)
    elif study.metric_names != written:
        before, now = ", ".join(study.metric_names), ", ".join(written)
        raise ConfigurationError(
            f"{path}: the sweep started with evaluation.objective [{before}], got [{now}]. "
            "Their scores can't be compared: restore sweep.yaml, or start a new sweep."
        )


def sampler_of(sweep: Sweep) -> IndexedSampler:
    """The sampler of the sweep's budget; raises ConfigurationError if it can't search the sweep's domains."""
    refuse_unfit_sampler(sweep)
    limits = sweep.limits
    if limits.sampler == "grid":
        return IndexedSampler(sweep.seed, sweep.searched, grid=dict(enumerate(grid_of(sweep), len(sweep.paper_points))))
    return IndexedSampler(sweep.seed, sweep.searched, limits.sampler, limits.n_startup_trials)


def _pruner(sweep: Sweep) -> BasePruner:
    pruning = sweep.limits.pruning
    if sweep.limits.sampler == "pbt":
        return PopulationPruner(sweep.limits.pbt)
    if pruning.pruner == "none":
        return NopPruner()
    if pruning.pruner == "median":
        pruner: BasePruner = NearMedianPruner(pruning.tolerance, pruning.n_startup_trials, pruning.warm_up)
    elif pruning.pruner == "successive_halving":
        pruner = SuccessiveHalvingPruner(min_resource=max(pruning.warm_up, 1), reduction_factor=REDUCTION)
    else:
        # With max_resource "auto" a rebuilt study and the first driver could have different brackets.
        first, last = max(pruning.warm_up, 1), sweep.run_config(sweep.paper_points[0], 0).n_steps
        pruner = HyperbandPruner(min_resource=first, max_resource=max(first, last), reduction_factor=REDUCTION)
    if not pruning.patience:
        return pruner
    with experimental():
        return PatientPruner(pruner, patience=pruning.patience)

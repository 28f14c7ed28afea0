"""The run of a sweep: Ray Tune runs the trials that the study proposes."""

import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from optuna.exceptions import StorageInternalError
from ray import tune
from ray.tune.experiment import Trial
from sqlalchemy.exc import SQLAlchemyError

from vgsearch.experiment.end import End
from vgsearch.experiment.ledger import SweepRecord, read_events
from vgsearch.experiment.moved import MovedExperiment
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.cluster.cluster import Resources
from vgsearch.runtime.study.proposal import Proposal
from vgsearch.runtime.study.rebuild import driven_study
from vgsearch.runtime.study.searcher import LookScheduler, StudySearcher
from vgsearch.runtime.sweep.board import write_board
from vgsearch.runtime.sweep.broken_gpus import BrokenGpus
from vgsearch.runtime.sweep.driver import Driver
from vgsearch.runtime.sweep.executors import inline_trial
from vgsearch.runtime.sweep.failures import end_of_process, error_of, full_disk, oom_kills
from vgsearch.runtime.sweep.own_signals import OwnSignals
from vgsearch.runtime.sweep.placement_groups import PlacementGroupReaper
from vgsearch.runtime.sweep.ray_train import ray_train_trial
from vgsearch.runtime.sweep.retries import MAX_FAILURES, Retries
from vgsearch.runtime.sweep.watchdog import Watchdog
from vgsearch.space.sweep import Sweep
from vgsearch.terminal.words import typed


class BrokenStudy(RuntimeError):
    """Optuna's study is locked, damaged or unreachable while the sweep runs; the message says how to continue."""


class DiskFull(RuntimeError):
    """The disk is full for the sweep's own files; the message says how to continue."""


@dataclass(frozen=True)
class Executor:
    """What runs a trial: its trainable, the resources of the trial's own process, the Tune callbacks it needs."""

    trainable: Callable[[dict[str, Any]], None]
    resources: dict[str, float]
    callbacks: tuple[tune.Callback, ...] = ()


def run_trials(
    driver: Driver, waiting: list[Proposal], cluster: Resources, executor: Executor | None = None
) -> SweepRecord:
    """Run the trials in `waiting`, then those that the study proposes, until the sweep is over or asked to stop.

    Raises DiskFull if the disk is full for the driver's own files.
    """
    sweep, experiment = driver.sweep, driver.experiment
    write_board(experiment, sweep)
    with files_told(experiment, sweep), driven_study(experiment.study, sweep, read_events(experiment.ledger)) as study:
        searcher = StudySearcher(study, sweep, waiting, driver, driver.record.next_index, driver.successor)
        run_searcher(searcher, driver, cluster, executor)
    return driver.record


def run_searcher(searcher: StudySearcher, driver: Driver, cluster: Resources, executor: Executor | None = None) -> None:
    """Run what the searcher proposes, as many trials in parallel as fit, until it has no more; raises DiskFull."""
    experiment = driver.experiment
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    with files_told(experiment, driver.sweep):
        try:
            _tuner(searcher, driver, cluster, executor or _executor(driver.sweep)).fit()
        except Exception:
            if isinstance(searcher.broken, MovedExperiment):
                _remove_recreated(experiment)
            if searcher.broken is not None:
                raise searcher.broken  # noqa: B904 (its own cause says why)
            raise


@contextmanager
def files_told(experiment: Experiment, sweep: Sweep) -> Iterator[None]:
    """Raise DiskFull or BrokenStudy, with the file and the remedy, for an error of the block that means one of them."""
    try:
        yield
    except Exception as error:
        again = f"vgsearch resume {typed(experiment.place)}"
        if full := full_disk(error, f"the files of {experiment.folder}"):
            raise DiskFull(f"{full}; all finished trials are kept. Free some space there, then: {again}") from error
        if not isinstance(error, StorageInternalError | SQLAlchemyError | sqlite3.Error):
            raise
        reason = next(iter(str(error.__cause__ or error).splitlines()), "")
        raise BrokenStudy(
            f"{sweep.storage or experiment.study} could not be read or written ({reason}); another program may use it. "
            f"The ledger has every event, so that nothing is lost: {again}"
        ) from error


def _remove_recreated(experiment: Experiment) -> None:
    """Delete what Ray Tune wrote at the old place of a moved experiment: the folder may have to be moved back there."""
    shutil.rmtree(experiment.ray, ignore_errors=True)
    with suppress(OSError):  # no longer there, or another folder took the place
        experiment.folder.rmdir()


def _tuner(searcher: StudySearcher, driver: Driver, cluster: Resources, executor: Executor) -> tune.Tuner:
    sweep, watchdog = driver.sweep, Watchdog()
    broken = BrokenGpus(cluster.n_gpus, driver.left_out, driver.halt)
    n_fit = cluster.max_concurrent(sweep.n_workers, sweep.gpus_per_worker, driver.inputs.reserved_cpus)
    return tune.Tuner(
        tune.with_resources(executor.trainable, executor.resources),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=LookScheduler(searcher, _end_of_failed(watchdog)),
            num_samples=-1,
            max_concurrent_trials=min(n_fit, sweep.max_concurrent or n_fit),
            reuse_actors=sweep.n_workers == 1,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(driver.experiment.ray),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            callbacks=[*executor.callbacks, Retries(), watchdog, broken, OwnSignals()],
        ),
    )


def _end_of_failed(watchdog: Watchdog) -> Callable[[Trial], End]:
    """The end of a trial whose process failed: by the watchdog if that ended it, otherwise by its error."""
    kills_before = oom_kills()

    def end_of(trial: Trial) -> End:
        if reason := watchdog.stalled.get(trial.trial_id):
            return End("stalled", reason)
        return end_of_process(error_of(trial), kills_before)

    return end_of


def _executor(sweep: Sweep) -> Executor:
    if sweep.n_workers == 1:
        return Executor(inline_trial, {"cpu": 1, "gpu": sweep.gpus_per_worker})
    # Workers have their own resources. A trial must request something: one byte leaves every CPU to the workers.
    return Executor(ray_train_trial, {"memory": 1}, (PlacementGroupReaper(),))

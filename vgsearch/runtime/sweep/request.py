"""A request of `vgsearch tune`, `train` or `study` as the settings of a sweep; refuses what cannot be searched."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgsearch.experiment.paths import Experiment
from vgsearch.experiment.stop_when import NEVER, StopWhen
from vgsearch.space.amounts import bytes_of, hours_of
from vgsearch.space.space import Space, load_space, source_of
from vgsearch.space.sweep import Sweep, checked_storage
from vgsearch.trackers.following import checked_trackers
from videogan.config import ConfigurationError, flattened, parse_config, suggestion
from videogan.data.manifest import Manifest, ScoredSplit
from videogan.storage.places import Place


@dataclass(frozen=True)
class SweepRequest:
    """The options of `vgsearch tune`, `train` and `study`."""

    space: str
    budget: str
    out: Path
    point: str | None = None
    """Name of a paper point, the only one to train, or of a data set, whose settings to take; None: all paper points,
    and the settings of the data set whose layout the import read."""
    data: Place | None = None
    folds: int | None = None
    """Search on fold 1 of so many."""
    overrides: Sequence[str] = ()
    name: str | None = None
    tags: Sequence[str] = ()
    log: Sequence[str] = ()
    """Trackers of its trials: mlflow, wandb, trackio."""
    n_trials: int | None = None
    seed: int = 0
    n_workers: int = 1
    gpus_per_worker: float | None = None
    max_concurrent: int | None = None
    time_budget: str | None = None
    gpu_hours: float | None = None
    stop_when: str = NEVER
    seeds_per_trial: int = 1
    racing: bool = False
    """Train further seeds only of points whose interval overlaps that of the best so far."""
    prunes: bool = True
    """Whether the budget's pruner stops trials."""
    scored: ScoredSplit | None = None
    """The clips that trials are scored on; None: those of a search."""
    disk_budget: str | None = None
    keep: int = 2
    storage: str | None = None
    """Where Optuna stores the study; None: in the experiment's folder."""
    warm_start: Sequence[Path] = ()
    one_per_class: bool = False
    """Train a generator for each class, for models without labels."""
    classifier_weights: Path | None = None
    """Initial weights of the classifiers; the sweep keeps the file's sha256."""
    confirm_best: bool | None = None
    """Whether to train the best point and the paper's again at the end; None: as the budget says."""
    prices: Sequence[str] = ()
    """GPU=AMOUNT, what an hour of a GPU costs, for the forecast of a dry run."""


def requested_space(request: SweepRequest) -> Space:
    """The requested space, with one paper point if the request names one, and without pruning if it turns it off.

    Raises ConfigurationError for a point or a budget that the space does not have.
    """
    space = load_space(request.space)
    if request.point is not None and request.point not in space.data_sets:
        space = space.at_point(request.point)
    if request.budget not in space.budgets:
        raise ConfigurationError(
            f"no budget '{request.budget}' in {space.name}{suggestion(request.budget, list(space.budgets))}"
        )
    return space if request.prunes else space.without_pruning(request.budget)


def on_its_data_set(request: SweepRequest, space: Space, overrides: Mapping[str, Any], layout: str) -> Space:
    """The space with what its paper sets for the data set that `point` names, else for that of an import's layout."""
    fixed = {**flattened(space.budgets[request.budget].overrides), **overrides}
    return space.on_data_set(request.point if request.point in space.data_sets else layout, fixed)


def requested_sweep(
    request: SweepRequest, space: Space, overrides: dict[str, Any], manifest: Manifest, experiment: Experiment
) -> Sweep:
    """The settings of the sweep; raises ConfigurationError for options that do not go together."""
    values = dict(
        space=space,
        budget=request.budget,
        data=str(manifest.folder.absolute()),
        manifest_digest=manifest.digest,
        n_classes=len(manifest.classes),
        n_colours=manifest.n_colours,
        class_names=manifest.classes,
        overrides=overrides,
        n_trials=space.budgets[request.budget].n_trials if request.n_trials is None else request.n_trials,
        seed=request.seed,
        n_workers=request.n_workers,
        gpus_per_worker=request.gpus_per_worker or 0,
        max_concurrent=request.max_concurrent,
        seeds_per_trial=request.seeds_per_trial,
        time_budget_hours=hours_of(request.time_budget, "--time-budget") if request.time_budget is not None else None,
        gpu_hours=request.gpu_hours,
        stop_when=request.stop_when,
        disk_budget_bytes=bytes_of(request.disk_budget, "--disk-budget") if request.disk_budget is not None else None,
        racing=request.racing,
        scored=request.scored,
        confirm_best=_confirms_best(request, space),
        keep=request.keep,
        tags=list(request.tags),
        log=checked_trackers(request.log),
        space_source=source_of(request.space),
        **_storage(request, experiment),
        warm_start=[str(_with_ledger(folder)) for folder in request.warm_start],
    )
    return parse_config(Sweep, values, "the search")


def _confirms_best(request: SweepRequest, space: Space) -> bool:
    """Whether the search ends with a confirmation.

    Raises ConfigurationError if it is asked for and cannot be: folds are tested by `confirm --folds`.
    """
    limits = space.budgets[request.budget]
    if request.confirm_best and request.folds is not None:
        raise ConfigurationError("--confirm-best tests one split; with --folds K use vgsearch confirm EXP --folds K.")
    if request.confirm_best and limits.sampler == "pbt":
        raise ConfigurationError(
            "--confirm-best: the best point of sampler = pbt is the end of a schedule; leave it out."
        )
    n_trials = limits.n_trials if request.n_trials is None else request.n_trials
    searches = n_trials > len(space.paper_points)
    default = limits.confirm_best and searches and request.folds is None
    return default if request.confirm_best is None else request.confirm_best


def refuse_idle_race(sweep: Sweep) -> None:
    """Raise ConfigurationError for a race of one training a point, or by two objectives."""
    if sweep.racing and sweep.seeds_per_trial == 1:
        raise ConfigurationError("--racing has no effect on one training a point; give --seeds-per-trial 2 or more.")
    if sweep.racing and len(sweep.objectives()) > 1:
        raise ConfigurationError("--racing compares points by one objective; give one, or leave --racing out.")


def refuse_unreachable_target(sweep: Sweep) -> None:
    """Raise ConfigurationError for a --stop-when whose target no score of the objective can have."""
    StopWhen.parse(sweep.stop_when).refuse_unreachable(sweep.objectives()[0])


def refuse_idle_gpu_hours(sweep: Sweep) -> None:
    """Raise ConfigurationError for a budget of GPU-hours of trials that use no GPU."""
    if sweep.gpu_hours is not None and not sweep.gpus_per_worker:
        raise ConfigurationError("--gpu-hours counts GPUs, but the trials use none; give --time-budget.")


def _storage(request: SweepRequest, experiment: Experiment) -> dict[str, str]:
    """Where the study is stored, and its name there, which no other sweep may have."""
    if request.storage is None:
        return {}
    return {
        "storage": checked_storage(request.storage),
        "study_name": f"{experiment.name}-{uuid.uuid4().hex[:8]}",
    }


def _with_ledger(folder: Path) -> Place:
    experiment = Experiment.at(folder)
    if not experiment.has_events:
        raise ConfigurationError(f"--warm-start {folder} contains no experiment ({experiment.ledger.name} is missing).")
    return experiment.place

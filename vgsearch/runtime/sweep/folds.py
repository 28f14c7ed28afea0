"""vgsearch train --folds: one training for each fold of the groups, and the mean of their test scores."""

import dataclasses
import shlex
import sys
from pathlib import Path

from vgsearch.data_check.moving_shapes import moving_shapes
from vgsearch.evaluation.folds import fold_manifests, print_folds, save_folds
from vgsearch.experiment.ledger import read_ledger
from vgsearch.experiment.names import reserved_name
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.sweep.launch import EXIT_NO_USABLE_TRIAL, launch, resume
from vgsearch.runtime.sweep.moving import OtherWorkers
from vgsearch.runtime.sweep.request import SweepRequest
from vgsearch.space.space import load_space
from vgsearch.terminal.console import Terminal
from vgsearch.terminal.words import shown
from videogan.config import ConfigurationError
from videogan.data.manifest import read_manifest
from videogan.storage.places import RemotePath, place


def train_on_folds(request: SweepRequest, n_folds: int, address: str | None, dry_run: bool, json_lines: bool) -> None:
    """Train a point on each fold and test it on the fold's groups; folds that have ended are not repeated.

    Raises ConfigurationError for an impossible request, and exits with 3 if no fold has a score.
    """
    space, out = load_space(request.space).name, place(request.out)
    if isinstance(out, RemotePath):
        raise ConfigurationError(f"--folds: --out must be a local folder, got {out}.")
    with reserved_name(out, request.name, f"{space}-folds", first="-fold-1", reserve=not dry_run) as name:
        _train_on(out, name, request, n_folds, address, dry_run, json_lines)


def _train_on(
    out: Path, name: str, request: SweepRequest, n_folds: int, address: str | None, dry_run: bool, json_lines: bool
) -> None:
    console = Terminal(stderr=json_lines)
    manifest = moving_shapes(console) if request.data is None else read_manifest(request.data)
    parts = fold_manifests(manifest, n_folds)
    console.print(
        f"{n_folds} folds of {shown(manifest.folder)}: {n_folds} trainings, one after the other; "
        f"continue an interrupted one by the same command with --name {shlex.quote(name)}",
        soft_wrap=True,
    )
    found: dict[str, list[float]] = {}
    for number, part in enumerate(parts, start=1):
        experiment = Experiment(out / f"{name}-fold-{number}")
        own = dataclasses.replace(request, data=part.folder, name=experiment.name, folds=None)
        _train(own, experiment, address, dry_run, json_lines)
        if dry_run:
            return  # all folds cost the same
        for trial in read_ledger(experiment.events).done:
            for score, value in trial.scores.items():
                found.setdefault(score, []).append(value)
    if not found:
        sys.exit(EXIT_NO_USABLE_TRIAL)
    print_folds(found, n_folds, console)
    result = out / f"{name}.json"
    save_folds(result, found, n_folds)
    console.print(shown(result), soft_wrap=True)


def _train(request: SweepRequest, experiment: Experiment, address: str | None, dry_run: bool, json_lines: bool) -> None:
    try:
        if experiment.sweep.exists():
            workers = OtherWorkers(gpus_per_worker=request.gpus_per_worker)
            resume(experiment.folder, None, "none", address, json_lines, workers)
        else:
            launch(request, address=address, dry_run=dry_run, json_lines=json_lines)
    except SystemExit as end:
        if end.code != EXIT_NO_USABLE_TRIAL:  # an interruption ends the folds; a failed one does not
            raise

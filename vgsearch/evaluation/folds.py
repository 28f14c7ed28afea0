"""Folds: for data with too few groups for three parts, every group is tested once, by as many trainings as folds."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vgsearch.terminal.words import interval
from videogan.config import ConfigurationError
from videogan.data.cache import cache_folder
from videogan.data.manifest import Manifest, write_manifest
from videogan.data.mirrored import reason_of_copy
from videogan.data.splits import carve_select, folds_by_group
from videogan.metrics.seed_interval import MAX_SEEDS, score_interval
from videogan.storage.atomic import write_atomically
from videogan.storage.json_values import json_values


def fold_manifests(manifest: Manifest, n_folds: int) -> list[Manifest]:
    """The folds of a data set as data sets, written to the cache: each tests on its groups and trains on all others.

    Raises ConfigurationError unless there are 2 to 10 folds, DataError if the groups cannot be divided.
    """
    return [_written(manifest, n_folds, fold, with_select=False) for fold in range(n_folds)]


def search_manifest(manifest: Manifest, n_folds: int) -> Manifest:
    """Fold 1 with a select split, carved out of its training groups: what a search may see.

    Raises the errors of `fold_manifests`.
    """
    return _written(manifest, n_folds, 0, with_select=True)


def _written(manifest: Manifest, n_folds: int, fold: int, with_select: bool) -> Manifest:
    if not 2 <= n_folds <= MAX_SEEDS:
        raise ConfigurationError(f"--folds must be from 2 to {MAX_SEEDS}, got {n_folds}.")
    # A left-out copy may be trained on where its original is; one whose original is tested would count twice.
    rows = [row for row in manifest.table.to_pylist() if row["skipped"] is None or row["path"] in manifest.mirrored]
    labels, groups = ([row[name] for row in rows] for name in ("label", "group"))
    folds = folds_by_group(labels, groups, n_folds)
    splits = ["test" if own == fold else "train" for own in folds]
    if with_select:
        splits = carve_select(labels, groups, splits)
    placed = [_placed(manifest, row, split) for row, split in zip(rows, splits, strict=True)]
    name = f"{manifest.folder.name}-{manifest.digest[:8]}-fold-{fold + 1}-of-{n_folds}"
    folder = cache_folder("folds") / (f"{name}-search" if with_select else name)
    return write_manifest(folder, placed, manifest.classes, fold=f"{fold + 1} of {n_folds}", layout=manifest.layout)


def _placed(manifest: Manifest, row: Mapping[str, Any], split: str) -> dict[str, Any]:
    """A row of a fold; a mirrored copy is used for training only."""
    path = row["path"]
    found = {**row, "path": str(manifest.location(path)), "split": split, "skipped": None}
    if path not in manifest.mirrored:
        return found
    original = manifest.mirrored[path]
    left_out = {} if split == "train" else {"split": None, "skipped": reason_of_copy(original)}
    return found | {"copy_of": str(manifest.location(original))} | left_out


def print_folds(scores: Mapping[str, Sequence[float]], n_folds: int, console: Console) -> None:
    """Print each score's mean over folds, its Student interval over them, and its value on each fold.

    scores: by name, the values of the folds that have one.
    """
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("score", "mean over folds [95 %]", "by fold"):
        table.add_column(column)
    for name, values in scores.items():
        lacking = f"   ({n_folds - len(values)} of {n_folds} folds have no score)" if len(values) < n_folds else ""
        by_fold = " ".join(f"{value:.2f}" for value in values) + lacking
        table.add_row(name, interval(score_interval(name.split()[0], list(values))) if values else "-", by_fold)
    console.print(table)
    console.print(f"note: Student's 95 % over {n_folds} folds, which no two share a group", style="yellow")


def save_folds(path: Path, scores: Mapping[str, Sequence[float]], n_folds: int) -> None:
    """Write each score's values by fold, mean and interval."""
    found = {
        name: {"by_fold": list(values), **score_interval(name.split()[0], list(values))._asdict()}
        for name, values in scores.items()
        if values
    }
    text = json.dumps(
        json_values({"n_folds": n_folds, "interval": "Student's 95 % over folds", "scores": found}), indent=1
    )
    write_atomically(path, lambda stream: stream.write((text + "\n").encode()))

"""A search from Python: the same as `vgsearch tune`, and its experiment to work with."""

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vgsearch.interface.experiment import SearchedExperiment
from vgsearch.runtime.sweep.confirm import confirm_best
from vgsearch.runtime.sweep.launch import SweepEnded, launch
from vgsearch.runtime.sweep.request import SweepRequest
from vgsearch.space.yaml_text import write_yaml
from videogan.config import ConfigurationError
from videogan.storage.places import place


def tune(
    space: str | Path,
    *,
    data: str | Path | None = None,
    budget: str = "laptop",
    overrides: Mapping[str, Any] | Sequence[str] = (),
    trials: int | None = None,
    out: str | Path = "runs",
    address: str | None = None,
    **options: Any,
) -> SearchedExperiment:
    """Search a space, by name or by its YAML file, and return its experiment.

    `options` are those of `vgsearch tune`: point, folds, one_per_class, classifier_weights, name, tags, log, seed,
    n_workers (--workers-per-trial), gpus_per_worker, max_concurrent, seeds_per_trial, racing, prunes (--pruning),
    confirm_best, time_budget, gpu_hours, stop_when, disk_budget, keep, storage, warm_start; and scored, the split that
    trials are scored on. overrides: values by dotted path, as --set takes them. A search that ends early (Ctrl-C once,
    a time budget) returns what it has, with `ended` "interrupted". Any: values of settings. Raises ConfigurationError
    for an impossible request.
    """
    _refuse_unknown(options)
    folder = None if data is None else place(str(data))
    request = SweepRequest(
        str(space), budget, Path(out), data=folder, overrides=_written(overrides), n_trials=trials, **options
    )
    try:
        where = launch(request, address, dry_run=False, json_lines=False)
        assert where is not None, "only a dry run has no place"
        confirm_best(where, address, json_lines=False)
    except SweepEnded as ended:
        where = ended.place
    return SearchedExperiment(where)


def _refuse_unknown(options: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for an option that is none, with those that are. Any: values of settings."""
    own = set(inspect.signature(tune).parameters) - {"space", "options"}
    known = own | {each.name for each in dataclasses.fields(SweepRequest)} - {"space", "n_trials", "prices"}
    for name in set(options) - known:
        raise ConfigurationError(f"vgsearch.tune: no option '{name}'; it takes {', '.join(sorted(known))}.")


def _written(overrides: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """Overrides as --set writes them."""
    if not isinstance(overrides, Mapping):
        return list(overrides)
    values = {path: write_yaml(chosen, in_one_line=True).removesuffix("\n...\n") for path, chosen in overrides.items()}
    return [f"{path}={written.strip()}" for path, written in values.items()]

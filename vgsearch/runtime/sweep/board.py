"""What TensorBoard shows of a sweep as a whole: the columns of its HParams tab, and the real clips."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from vgsearch.experiment.objective import compared_scores
from vgsearch.experiment.paths import Experiment
from vgsearch.experiment.tensorboard import TrialBoard, with_names, write_columns
from vgsearch.report.sample_grid import NotShown, real_examples
from vgsearch.space.domains import Domain
from vgsearch.space.sweep import Sweep
from videogan.data.cache import cache_folder
from videogan.sampling.pictures import grid_frames

FIRST = ("lr_g", "lr_d", "sigma_a", "sigma_b", "sigma_c")
"""The columns that TensorBoard shows until the user chooses others, of those that the sweep searches."""
NOT_SEARCHED = "not searched"


def write_board(experiment: Experiment, sweep: Sweep) -> None:
    """Write the columns, and the first real clip of each class if this machine has them; once for an experiment."""
    if any(experiment.tensorboard.glob("*")):
        return
    write_columns(experiment.tensorboard, columns(sweep), compared_scores(sweep.objectives()))
    if isinstance(cache_folder("clips"), Path):  # clips on an object store would be downloaded for the picture alone
        with suppress(NotShown):
            real = with_names(grid_frames(real_examples(sweep), 1), sweep.class_names)
            board = TrialBoard(experiment.tensorboard, None)
            board.video("real clips", real, 0)
            board.close()
    folder = f"{experiment.tensorboard.relative_to(experiment.folder).as_posix()}/"
    experiment.working_copy.push(lambda name: name.startswith(folder))


def columns(sweep: Sweep) -> dict[str, list[Any]]:
    """Some values of each searched setting, which show its type; Any: values of settings."""
    ranks = {name: rank for rank, name in enumerate(FIRST)}
    paths = sorted(sweep.domains, key=lambda path: ranks.get(path.rpartition(".")[2], len(FIRST)))
    return {path: [_shown(sweep.domains[path], end) for end in sweep.domains[path].ends] for path in paths}


def row(sweep: Sweep, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's value in each column: TensorBoard draws no trial that lacks one, so what it did not search has one too.

    That is a number below the domain, -1 for one without negative numbers, or the words "not searched".
    """
    return {path: _shown(domain, chosen.get(path)) for path, domain in sweep.domains.items()} | {
        path: value for path, value in chosen.items() if path not in sweep.domains
    }


def _shown(domain: Domain, value: Any) -> Any:
    if domain.is_of_numbers:
        return min(0, *domain.ends) - 1 if value is None else value
    # A column has one type.
    return (NOT_SEARCHED if value is None else str(value)) if domain.when else value

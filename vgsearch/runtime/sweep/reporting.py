"""Reads and computes what a report shows: ledgers, sweeps, importances."""

from collections.abc import Sequence
from pathlib import Path

from vgsearch.experiment.found_sweep import found_sweep
from vgsearch.experiment.paths import Experiment
from vgsearch.report.blocks import Page
from vgsearch.report.compared import comparison_page
from vgsearch.report.experiment import experiment_page
from vgsearch.report.experiment_data import ExperimentData
from vgsearch.report.writing import write_html, write_markdown
from vgsearch.runtime.study.importances import importances
from vgsearch.space.sweep import load_sweep
from videogan.config import ConfigurationError
from videogan.storage.places import RemotePath, place

MOST_LETTERS = 100  # in a folder's name


def subject_of(folder: Path) -> ExperimentData:
    """An experiment's sweep and ledger; raises ConfigurationError if it has none."""
    experiment = Experiment.at(folder)
    experiment.working_copy.pull(_is_drawn)
    sweep = load_sweep(experiment.sweep)
    if not experiment.has_events:
        raise ConfigurationError(f"{experiment.place} has no {experiment.ledger.name}: no sweep has run there.")
    return ExperimentData(experiment, sweep, found_sweep(experiment))


def _is_drawn(name: str) -> bool:
    """Whether a report reads this file of an experiment on an object store."""
    return "/checkpoints/" not in name and "/tb/" not in name and not name.startswith(("ledger/", "tb/", "report"))


def page_of(folder: Path) -> Page:
    """The report of one experiment."""
    subject = subject_of(folder)
    return experiment_page(subject, importances(subject.sweep, subject.record))


def write_report(where: Path, out: Path | None = None) -> tuple[Experiment, Path]:
    """Write the report of an experiment into its folder, also on its object store; returns it and the Markdown's path.

    `out`: a folder for the Markdown and its figures, which then are in `out`/NAME.
    """
    experiment, page = Experiment.at(where), page_of(where)
    write_html(page, experiment.report)
    markdown = write_markdown(page, experiment.report_folder if out is None else out / page.title)
    names = (experiment.report.name, f"{experiment.report_folder.name}/")
    experiment.working_copy.push(lambda name: name.startswith(names))
    return experiment, markdown


def folder_beside(experiment: Path) -> Path:
    """The folder that holds the experiment; one on an object store has runs/."""
    where = place(experiment)
    return Path("runs") if isinstance(where, RemotePath) else where.absolute().parent


def comparison_of(folders: Sequence[Path]) -> Page:
    """The report of several experiments; raises ConfigurationError for fewer than two different ones."""
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise ConfigurationError(
            "vgsearch compare needs two or more different experiments, such as runs/mvt-001 runs/mvt_tsa-001."
        )
    subjects = [subject_of(folder) for folder in folders]
    name = "compare-" + "-".join(subject.name for subject in subjects)
    return comparison_page(name[:MOST_LETTERS], subjects)

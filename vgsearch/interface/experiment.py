"""An experiment to read from Python, while its sweep runs or after."""

import math
from pathlib import Path
from typing import Any

from vgsearch.experiment.chosen_checkpoint import chosen_checkpoint, experiment_and_trial, find_trial
from vgsearch.experiment.found_sweep import found_sweep
from vgsearch.experiment.ledger import SweepRecord, TrialRecord
from vgsearch.experiment.opened_trial import opened_checkpoint
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.sweep.reporting import write_report
from vgsearch.sampling.sample import class_names
from vgsearch.terminal.verdict import verdict
from videogan.interface.model import Model, load
from videogan.storage.places import Place


class SearchedExperiment:
    """The experiment at a path or an address, or that of a trial, EXP/t0003; each property reads its ledger anew."""

    def __init__(self, where: str | Place) -> None:
        """Raise ConfigurationError if there is no sweep, or no such trial."""
        self._experiment, written = Experiment.at(where), ""
        if not (self._experiment.place / self._experiment.sweep.name).exists():
            self._experiment, written = experiment_and_trial(self._experiment.place)
        self._named = find_trial(self.record, written).trial_id if written else None

    def __repr__(self) -> str:
        return f"<vgsearch experiment {self.place}: {self.verdict or self.ended or 'running'}>"

    @property
    def place(self) -> Place:
        """Its folder or address."""
        return self._experiment.place

    @property
    def record(self) -> SweepRecord:
        """The whole state of the sweep."""
        return found_sweep(self._experiment)

    @property
    def ended(self) -> str:
        """ "finished", "interrupted" or "killed"; empty while it runs."""
        return self.record.ended

    @property
    def trials(self) -> list[dict[str, Any]]:
        """A flat row for each trial, in order, which pandas.DataFrame takes as it is. Any: values of settings.

        "trial", "state", "step", "n_steps", "seconds", "look", "is_paper_point", "is_best", "reason", then the searched
        values by path, then each score by name with its `<name>_low` and `<name>_high`; what is unknown is None.
        """
        record = self.record
        front = {trial.trial_id for trial in record.front}
        rows = [_row(trial, trial.trial_id in front) for trial in record.trials.values()]
        names = dict.fromkeys(name for row in rows for name in row)
        return [{name: row.get(name) for name in names} for row in rows]

    @property
    def trial(self) -> dict[str, Any] | None:
        """The row of the trial that the path named; None if it named the experiment."""
        return next((row for row in self.trials if row["trial"] == self._named), None)

    @property
    def best(self) -> dict[str, Any] | None:
        """The row of the best trial; None if no trial may be called best."""
        best = self.record.best
        return next((row for row in self.trials if best is not None and row["trial"] == best.trial_id), None)

    @property
    def verdict(self) -> str:
        """What the scores say, in one sentence; empty before a trial is scored."""
        return verdict(self.record, self.place)

    def model(self, trial: str | None = None) -> Model:
        """The model of a trial, by default of the one that the path named, or of the best.

        It knows its classes by name while their data set is where it was. Raises ConfigurationError without a
        checkpoint.
        """
        chosen = trial or self._named
        with opened_checkpoint(chosen_checkpoint(self.place if chosen is None else self.place / chosen)) as file:
            model = load(file)
            names, _ = class_names(file, model.trained_on, len(model.classes))
            model.classes = tuple(names)
            return model

    def report(self, out: str | Path | None = None) -> Path:
        """Write the report as `vgsearch report` does; returns the HTML file."""
        experiment, _ = write_report(Path(str(self.place)), None if out is None else Path(out))
        return experiment.report


def _row(trial: TrialRecord, is_best: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "trial": trial.trial_id,
        "state": trial.state,
        "step": trial.step,
        "n_steps": trial.n_steps,
        "seconds": trial.seconds,
        "look": trial.look if trial.looks else None,
        "is_paper_point": trial.is_paper_point,
        "is_best": is_best,
        "reason": trial.reason or None,
        **trial.overrides,
    }
    for name, value in trial.scores.items():
        row[name] = value
        if (measured := trial.score.interval(name)) is not None:
            row |= {f"{name}_low": _known(measured.low), f"{name}_high": _known(measured.high)}
    return row


def _known(bound: float) -> float | None:
    return None if math.isnan(bound) else bound

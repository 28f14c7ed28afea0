"""An experiment as a study for Optuna's dashboard, in memory: from its ledger, and as it grows while the sweep runs."""

import warnings
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna.exceptions import ExperimentalWarning
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState, create_trial

from vgsearch.experiment.end import KILLED
from vgsearch.experiment.ledger import SweepRecord, TrialRecord, read_ledger
from vgsearch.experiment.objective import LABELS, looks_at_distance
from vgsearch.experiment.paths import Experiment, short_id
from vgsearch.runtime.study.samplers import Noted, suggest_all, values_to_suggest
from vgsearch.space.sweep import Sweep, load_sweep
from vgsearch.terminal.words import number

STATES = {
    "done": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "running": TrialState.RUNNING,
    KILLED: TrialState.RUNNING,  # it may be resumed, and a trial with an end takes no more looks
}  # fmt: skip
"""Of trials; all others are FAIL."""


class ShownStudy:
    """A study named after the experiment; its trials have their ids, why they ended, and their samples as artifacts.

    The study that the sweep itself writes, optuna.db, has none of these, and calls a look by the name of the score.
    """

    def __init__(self, experiment: Experiment, artifacts: Path) -> None:
        self._experiment = experiment
        self._sweep: Sweep = load_sweep(experiment.sweep)
        record = read_ledger(experiment.events)
        self._names = [each.name for each in record.objectives]
        self.storage, self.artifacts = InMemoryStorage(), FileSystemArtifactStore(artifacts)
        directions = [each.direction for each in record.objectives]
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(storage=self.storage, study_name=experiment.name, directions=directions)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            self.study.set_metric_names([LABELS[name] for name in self._names])
        self.study.set_user_attr("space", f"{self._sweep.space.name} ({self._sweep.budget})")
        look = "minus the kernel distance" if looks_at_distance(record.objectives) else "ReS"
        self.study.set_user_attr("intermediate values", f"looks: {look} by one classifier, not the score")
        self._shown: dict[str, int] = {}
        self.update(record)

    def update(self, record: SweepRecord | None = None) -> None:
        """Take over what the ledger has more than the study."""
        record = record or read_ledger(self._experiment.events)
        for trial in record.trials.values():
            if trial.trial_id not in self._shown:
                self._shown[trial.trial_id] = self._added(trial)
            self._take_over(trial, self._shown[trial.trial_id])

    def _added(self, trial: TrialRecord) -> int:
        """Add a trial that has started; returns its number in the storage."""
        noted = Noted(values_to_suggest(self._sweep.domains, trial.overrides))
        if self._is_inside(trial):
            suggest_all(noted, self._sweep.searched)
        started = create_trial(
            state=TrialState.RUNNING,
            params={name: noted.given[name] for name in noted.distributions},
            distributions=noted.distributions,
            user_attrs={"trial": short_id(trial.trial_id)} | ({"point": "the paper's"} if trial.is_paper_point else {}),
        )
        started.datetime_start = datetime.fromtimestamp(trial.started)
        return self.storage.create_new_trial(self.study._study_id, started)

    def _is_inside(self, trial: TrialRecord) -> bool:
        """Whether the domains have its values; those of an edited space may not be."""
        domains = self._sweep.domains
        return all(path in domains and value in domains[path] for path, value in trial.overrides.items())

    def _take_over(self, trial: TrialRecord, number: int) -> None:
        there = self.storage.get_trial(number)
        if there.state.is_finished():
            return
        for step in trial.looks.keys() - there.intermediate_values.keys():
            self.storage.set_trial_intermediate_value(number, step, trial.looks[step])
        state = STATES.get(trial.state, TrialState.FAIL)
        values = [trial.scores[name] for name in self._names if name in trial.scores]
        if state is TrialState.COMPLETE and len(values) < len(self._names):
            state = TrialState.FAIL
        if state is TrialState.RUNNING:
            return
        for name, told in _told(trial):
            self.storage.set_trial_user_attr(number, name, told)
        for samples in self._samples(trial):
            upload_artifact(
                artifact_store=self.artifacts, file_path=str(samples), study_or_trial=there, storage=self.storage
            )
        self.storage.set_trial_state_values(number, state, values if state is TrialState.COMPLETE else None)
        # The storage takes the present for the end, and gives out the trial that it keeps, not a copy.
        self.storage.get_trial(number).datetime_complete = datetime.fromtimestamp(trial.attempts[-1][1])

    def _samples(self, trial: TrialRecord) -> Iterable[Path]:
        folder = Path(str(self._experiment.trial(trial.trial_id).samples))
        return sorted(folder.glob("grid.gif")) if folder.is_dir() else ()


def _told(trial: TrialRecord) -> Iterable[tuple[str, Any]]:
    """What a person asks about an ended trial beside its score. Any: texts and numbers."""
    yield "ended", trial.state
    if trial.reason:
        yield "reason", trial.reason
    for name in ("ser", "res"):
        if name in trial.scores:
            yield LABELS[name], f"{number(100 * trial.scores[name], '.1f')} %"
    if trial.health and trial.health.get("states"):
        yield "health", ", ".join(trial.health["states"])
    yield "minutes", round(trial.seconds / 60, 1)

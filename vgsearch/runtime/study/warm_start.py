"""Known trials: done trials of earlier experiments that a new study has from its start, no trials of the sweep."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from optuna.trial import TrialState, create_trial

from vgsearch.experiment.ledger import SweepRecord, TrialRecord, read_ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.study.samplers import Noted, suggest_all, values_to_suggest
from vgsearch.runtime.study.searcher import looks_of_study
from vgsearch.space.domains import ChoiceDomain
from vgsearch.space.sweep import Sweep
from videogan.config import ConfigurationError, flattened
from videogan.training.scored_run import ScoredRun


@dataclass(frozen=True)
class KnownTrial:
    """A done trial of an earlier experiment, as a point of the new sweep's domains."""

    experiment: str
    trial_id: str
    overrides: Mapping[str, Any]
    scores: Mapping[str, float]
    looks: list[tuple[int, float]]


def known_trials(sweep: Sweep, protocol: str) -> tuple[list[KnownTrial], list[str]]:
    """The usable done trials of the sweep's `warm_start` experiments, and a note for each experiment.

    A trial is usable if it ran with the settings that the sweep would use for its point, apart from the seed. Raises
    ConfigurationError for an experiment under another protocol or objective, and for one without a usable trial.
    """
    known: list[KnownTrial] = []
    notes = []
    for folder in sweep.warm_start:
        experiment = Experiment.at(folder)
        record = read_ledger(experiment.events)
        _refuse_unlike(experiment, record, sweep, protocol)
        found = [_known(experiment, trial, sweep) for trial in record.done]
        fit = [trial for trial in found if isinstance(trial, KnownTrial)]
        left_out = Counter(reason for reason in found if isinstance(reason, str))
        reasons = "".join(f"; {n} left out: {reason}" for reason, n in left_out.items())
        if not fit:
            raise ConfigurationError(
                f"--warm-start {folder}: none of its {len(found)} done trials is a point of this sweep{reasons}."
            )
        known += fit
        notes.append(f"warm start: the study starts with {len(fit)} done trials of {experiment.name}{reasons}")
    return known, notes


def _refuse_unlike(experiment: Experiment, record: SweepRecord, sweep: Sweep, protocol: str) -> None:
    theirs, ours = (", ".join(map(str, found)) for found in (record.objectives, sweep.objectives()))
    if theirs != ours:
        raise ConfigurationError(
            f"--warm-start {experiment.place}: it searched for [{theirs}], this sweep searches for [{ours}]; "
            "leave it out."
        )
    if record.header.get("protocol") != protocol:
        raise ConfigurationError(
            f"--warm-start {experiment.place}: it was scored under protocol {str(record.header.get('protocol'))[:6]}, "
            f"this sweep is scored under {protocol[:6]}; the scores can't be compared. Leave it out, or use its data "
            "and budget."
        )


def _known(experiment: Experiment, trial: TrialRecord, sweep: Sweep) -> KnownTrial | str:
    """A done trial as a point of the sweep, or the reason why it is not one."""
    files = experiment.trial(trial.trial_id)
    path = files.config
    files.working_copy.pull(lambda name: name == path.name)
    try:
        config = sweep.read_config(path)
    except ConfigurationError:
        return "without a config.yaml that this version reads"
    chosen: dict[str, Any] = {}
    for name, domain in sweep.searched.in_order:
        if not sweep.searched.is_active(name, chosen):
            continue
        try:
            value = config.setting(name)
        except AttributeError:
            return f"without {name}"
        if value not in domain:
            return f"{name} outside its domain"
        # The domain's own choice: the run's configuration may have 4.0 for a choice of 4.
        chosen[name] = domain.choices[domain.choices.index(value)] if isinstance(domain, ChoiceDomain) else value
    if sweep.searched.broken_by(chosen):
        return "violates the constraints"
    same = sweep.run_config(chosen, 0)
    if found := _differing(config, same):
        return f"other settings ({', '.join(found)})"
    return KnownTrial(experiment.name, trial.trial_id, chosen, trial.scores, sorted(trial.looks.items()))


def _differing(one: ScoredRun, other: ScoredRun) -> list[str]:
    """At most three paths at which two runs are configured differently, apart from the seed."""
    ours, theirs = (flattened(run.model_dump(mode="json")) | {"seed": 0} for run in (one, other))
    return [path for path in dict.fromkeys([*ours, *theirs]) if ours.get(path) != theirs.get(path)][:3]


def add_known(study: optuna.Study, sweep: Sweep, known: Iterable[Mapping[str, Any]]) -> None:
    """Add known trials, given as ledger entries, to a study that lacks them; they get no index."""
    objectives, domains, searched = sweep.objectives(), sweep.domains, sweep.searched
    there = {trial.user_attrs.get("known") for trial in study.get_trials(deepcopy=False)}
    for trial in (KnownTrial(**entry) for entry in known):
        name = f"{trial.experiment}/{trial.trial_id}"
        if name in there:
            continue
        noted = Noted(values_to_suggest(domains, trial.overrides))
        suggest_all(noted, searched)
        looks = looks_of_study(trial.looks, sweep) if trial.looks and len(objectives) == 1 else {}
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                params={name: noted.given[name] for name in noted.distributions},
                distributions=noted.distributions,
                values=[objective.value_of(trial.scores) for objective in objectives],
                intermediate_values=looks,
                user_attrs={"known": name},
            )
        )


def as_entries(known: Iterable[KnownTrial]) -> list[dict[str, Any]]:
    """Known trials as ledger entries."""
    return [asdict(trial) for trial in known]

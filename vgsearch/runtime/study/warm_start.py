"""What earlier experiments found, known to a new study from its start, and never called its own trials."""

import functools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import optuna
import yaml
from optuna.trial import TrialState, create_trial

from vgsearch.experiment.ledger import SweepRecord, TrialRecord, read_ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.study.samplers import Noted, asked, suggest_all
from vgsearch.runtime.study.searcher import looks_of_study
from vgsearch.space.domains import ChoiceDomain
from vgsearch.space.sweep import Sweep
from videogan.config import ConfigurationError, parse_config
from videogan.training.run_config import RunConfig


@dataclass(frozen=True)
class KnownTrial:
    """A done trial of an earlier experiment, as a point of the new sweep's domains."""

    experiment: str
    trial_id: str
    overrides: Mapping[str, Any]
    scores: Mapping[str, float]
    looks: list[tuple[int, float]]


def known_trials(sweep: Sweep, protocol: str) -> tuple[list[KnownTrial], list[str]]:
    """The done trials of the sweep's `warm_start` experiments that are points of its own, and a note for each experiment.

    A trial is one where it ran as the sweep would run its point, but for the seed. Raises ConfigurationError for an
    experiment under another protocol or objective, and for one without any such trial.
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
        told = "".join(f"; {n} left out: {reason}" for reason, n in left_out.items())
        if not fit:
            raise ConfigurationError(
                f"--warm-start {folder}: none of its {len(found)} done trials is a point of this sweep{told}."
            )
        known += fit
        notes.append(f"warm start: {len(fit)} done trials of {experiment.name} are known{told}")
    return known, notes


def _refuse_unlike(experiment: Experiment, record: SweepRecord, sweep: Sweep, protocol: str) -> None:
    theirs, ours = (", ".join(map(str, found)) for found in (record.objectives, sweep.objectives()))
    if theirs != ours:
        raise ConfigurationError(
            f"--warm-start {experiment.place}: it searched for [{theirs}], this sweep searches for [{ours}]; leave it out."
        )
    if record.header.get("protocol") != protocol:
        raise ConfigurationError(
            f"--warm-start {experiment.place}: it was scored under protocol {str(record.header.get('protocol'))[:6]}, this "
            f"sweep is scored under {protocol[:6]}; the scores would not compare. Leave it out, or take its data and budget."
        )


def _known(experiment: Experiment, trial: TrialRecord, sweep: Sweep) -> KnownTrial | str:
    """A done trial as a point of the sweep, or why it is none."""
    files = experiment.trial(trial.trial_id)
    path = files.config
    files.working_copy.pull(lambda name: name == path.name)
    try:
        config = parse_config(RunConfig, yaml.safe_load(path.read_text()), str(path))
    except (OSError, ConfigurationError):
        return "without a config.yaml that this version reads"
    chosen: dict[str, Any] = {}
    for name, domain in sweep.searched.in_order:
        if not sweep.searched.is_active(name, chosen):
            continue
        try:
            value = functools.reduce(getattr, name.split("."), config)
        except AttributeError:
            return f"without {name}"
        if value not in domain:
            return f"{name} outside its domain"
        # The choice itself: a choice of 4 may be a 4.0 in the run's configuration.
        chosen[name] = domain.choices[domain.choices.index(value)] if isinstance(domain, ChoiceDomain) else value
    if sweep.searched.broken_by(chosen):
        return "against the constraints"
    same = sweep.run_config(chosen, 0)
    if same.model_copy(update={"seed": config.seed}) != config:
        return f"other settings ({', '.join(_differing(config, same))})"
    return KnownTrial(experiment.name, trial.trial_id, chosen, trial.scores, sorted(trial.looks.items()))


def _differing(one: RunConfig, other: RunConfig) -> list[str]:
    """The first paths, three at most, at which two runs are configured differently; seeds apart."""
    sections = [(name, getattr(one, name), getattr(other, name)) for name in type(one).model_fields if name != "seed"]
    paths = [
        f"{section}.{name}"
        for section, ours, theirs in sections
        for name in (ours.model_dump() if ours != theirs else ())
        if getattr(ours, name) != getattr(theirs, name, None)
    ]
    return paths[:3]


def add_known(study: optuna.Study, sweep: Sweep, known: Iterable[Mapping[str, Any]]) -> None:
    """Adds known trials, as the ledger has them, to a study that lacks them; they have no place in the sweep's order."""
    there = {trial.user_attrs.get("known") for trial in study.get_trials(deepcopy=False)}
    for trial in (KnownTrial(**entry) for entry in known):
        name = f"{trial.experiment}/{trial.trial_id}"
        if name in there:
            continue
        noted = Noted(asked(sweep.domains, trial.overrides))
        suggest_all(noted, sweep.searched)
        looks = looks_of_study(trial.looks, sweep) if len(sweep.objectives()) == 1 else {}
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                params={name: noted.given[name] for name in noted.distributions},
                distributions=noted.distributions,
                values=[objective.value_of(trial.scores) for objective in sweep.objectives()],
                intermediate_values=looks,
                user_attrs={"known": name},
            )
        )


def as_entries(known: Iterable[KnownTrial]) -> list[dict[str, Any]]:
    """Known trials as the ledger keeps them."""
    return [asdict(trial) for trial in known]

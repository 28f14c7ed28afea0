"""Importances of the searched values by PED-ANOVA, from the ledger alone."""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from vgsearch.experiment.ledger import SweepRecord, TrialRecord
from vgsearch.report.experiment_data import Importances
from vgsearch.space.domains import ChoiceDomain, Domain, FloatDomain
from vgsearch.space.sweep import Sweep

LEAST_TRIALS = 8


def importances(sweep: Sweep, record: SweepRecord) -> Importances:
    """PED-ANOVA (Watanabe et al. 2023) over the done trials, by the first objective.

    fANOVA ranked a parameter without effect first on TPE's samples. Values searched in only some trials are not ranked.
    """
    objective, domains = record.objectives[0], sweep.domains
    usable = [trial for trial in record.done if objective.name in trial.scores and _inside(trial, domains)]
    if len(usable) < LEAST_TRIALS:
        return Importances(
            n_trials=len(usable), reason=f"{LEAST_TRIALS} done trials are needed, this search has {len(usable)}"
        )
    if len({objective.value_of(trial.scores) for trial in usable}) == 1:
        return Importances(n_trials=len(usable), reason="all done trials have the same score")
    left_out = {
        path: f"searched in {n} of {len(usable)} trials only"
        for path in domains
        if (n := sum(path in trial.overrides for trial in usable)) < len(usable)
    }
    always = {path: domain for path, domain in domains.items() if path not in left_out}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction=objective.direction)
    for trial in usable:
        study.add_trial(_frozen(trial, always, objective.value_of(trial.scores)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        shares = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    constant = {path: "the same in every trial" for path in always if path not in shares}
    finite = {path: share for path, share in shares.items() if math.isfinite(share)}
    if not finite or not sum(finite.values()):
        return Importances(n_trials=len(usable), reason="no value separates the best trials from the rest")
    return Importances(finite, len(usable), left_out | constant)


def _inside(trial: TrialRecord, domains: Mapping[str, Domain]) -> bool:
    """Whether the trial's values are in the domains; those of a warm start or an edited space may not be."""
    return all(value in domains[path] for path, value in trial.overrides.items() if path in domains)


def _frozen(trial: TrialRecord, domains: Mapping[str, Domain], value: float) -> optuna.trial.FrozenTrial:
    distributions = {path: _distribution(domain) for path, domain in domains.items()}
    params = {path: _ranked(domain, trial.overrides[path]) for path, domain in domains.items()}
    return optuna.trial.create_trial(params=params, distributions=distributions, value=value)


def _distribution(domain: Domain) -> BaseDistribution:
    if isinstance(domain, ChoiceDomain):
        return CategoricalDistribution(domain.choices)
    if domain.type == "int":
        return IntDistribution(domain.low, domain.high, log=domain.log)
    if domain.or_off is not None:
        return CategoricalDistribution(["off", "on"])
    return FloatDistribution(domain.low, domain.high, log=domain.log)


def _ranked(domain: Domain, value: Any) -> Any:
    """The value; on or off for one that can be off, because its amount is searched in only some trials."""
    if isinstance(domain, FloatDomain) and domain.or_off is not None:
        return "off" if value == domain.or_off else "on"
    return value

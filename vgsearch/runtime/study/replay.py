"""Replays a finished sweep: simulates searches and prunings of its recorded trials, and trains nothing."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vgsearch.experiment.ledger import SweepRecord
from vgsearch.replay.notes import notes_on_trials
from vgsearch.replay.prunings import Prunings, PruningSetting, WatchedTrials, correlations, pruned_by, watched
from vgsearch.replay.recorded import RecordedTrials, recorded_trials
from vgsearch.replay.replay import Replay
from vgsearch.replay.request import ReplayRequest
from vgsearch.replay.searches import (
    Searches,
    SearchSetting,
    Spread,
    any_order,
    found_by,
    neighbours_correlation,
    spread_of,
)
from vgsearch.runtime.study.samplers import reasons_against_sampler, refuse_unfit_sampler
from vgsearch.runtime.study.simulated_pruning import looks_as_pruned
from vgsearch.runtime.study.simulations import (
    PruningSimulation,
    SearchSimulation,
    Simulation,
    SpreadSimulation,
    simulated,
)
from vgsearch.space.sweep import Sweep
from videogan.config import ConfigurationError

WARM_UPS = (0.0, 0.25, 0.5, 0.75)
"""Shares of the run before which no trial is pruned; the sweep's own warm-up is replayed beside them."""
MOST_SPREADS = 20
"""Repeats of the distances between proposals: these vary little, and each costs as many draws as trials run at once."""


@dataclass(frozen=True)
class _SpreadSetting:
    sampler: str
    at_once: int
    told: bool


_Setting = SearchSetting | _SpreadSetting | PruningSetting


def replay(
    name: str,
    sweep: Sweep,
    record: SweepRecord,
    request: ReplayRequest,
    n_processes: int = 1,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Replay:
    """What samplers and pruners would have done with the recorded trials; a function of record and request.

    Raises ConfigurationError for too few trials, and for what the request names and can't be replayed.
    """
    recorded = recorded_trials(name, sweep, record)
    # A study with two objectives neither prunes nor has one best trial.
    sweep = sweep.model_copy(update={"overrides": {**sweep.overrides, "evaluation.objective": str(recorded.objective)}})
    refused = _refused(sweep, request)
    samplers = [sampler for sampler in request.samplers if sampler not in refused]
    trials, why_not = _watched(name, recorded, request)
    plan: dict[_Setting, Simulation] = {}
    if samplers:
        plan |= _searches(sweep, recorded, request, samplers) | _spreads(sweep, recorded, request, samplers)
    if trials is not None:
        plan |= _prunings(sweep, recorded, request, trials)
    seeds = [random.Random(f"{request.seed}/replay/{repeat}").getrandbits(31) for repeat in range(request.repeats)]
    runs = [(each, seeds[:MOST_SPREADS] if isinstance(each, SpreadSimulation) else seeds) for each in plan.values()]
    results = dict(zip(plan, simulated(runs, n_processes, told), strict=True))
    return Replay(
        name,
        recorded,
        _of_searches(sweep, recorded, request, refused, results) if samplers else None,
        None if trials is None else _of_prunings(sweep, trials, request, results),
        [*notes_on_trials(sweep, record, recorded), *_notes_on_parts(request, recorded, refused, why_not)],
    )


def _with(sweep: Sweep, **limits: Any) -> Sweep:
    """The sweep with some settings of its budget replaced."""
    budget = sweep.limits.model_copy(update=limits)
    space = sweep.space.model_copy(update={"budgets": {**sweep.space.budgets, sweep.budget: budget}})
    return sweep.model_copy(update={"space": space})


def _refused(sweep: Sweep, request: ReplayRequest) -> dict[str, str]:
    """Why samplers can't search the space, in short; raises ConfigurationError with all if the user named them."""
    fitted = {sampler: _with(sweep, sampler=sampler) for sampler in request.samplers}
    reasons = {sampler: found for sampler, each in fitted.items() if (found := reasons_against_sampler(each))}
    if request.named:
        for sampler in reasons:
            refuse_unfit_sampler(fitted[sampler])
    return {
        sampler: first.partition(";")[0] + (f", and {len(more)} more reasons" if more else "")
        for sampler, (first, *more) in reasons.items()
    }


def _watched(name: str, recorded: RecordedTrials, request: ReplayRequest) -> tuple[WatchedTrials | None, str]:
    """The trials with every look, or the reason why there are too few; raises if the user named a pruner."""
    if not request.pruners:
        return None, ""
    try:
        return watched(name, recorded), ""
    except ConfigurationError as error:
        if request.named:
            raise
        return None, str(error)


def _searches(
    sweep: Sweep, recorded: RecordedTrials, request: ReplayRequest, samplers: Sequence[str]
) -> dict[_Setting, Simulation]:
    n_trials = max(request.after_in(recorded))
    return {
        SearchSetting(sampler, paper_first, at_once): SearchSimulation(
            _with(sweep, sampler=sampler), recorded, n_trials, at_once, paper_first
        )
        for at_once in request.at_once
        if at_once < n_trials  # otherwise no score is known before the last proposal
        for paper_first in ((True, False) if recorded.paper_rows else (False,))
        for sampler in samplers
    }


def _spreads(
    sweep: Sweep, recorded: RecordedTrials, request: ReplayRequest, samplers: Sequence[str]
) -> dict[_Setting, Simulation]:
    return {
        _SpreadSetting(sampler, at_once, told): SpreadSimulation(_with(sweep, sampler=sampler), recorded, at_once, told)
        for at_once in request.at_once
        if at_once > 1
        for sampler in dict.fromkeys(["random", *samplers])
        for told in (True, False)
    }


def _prunings(
    sweep: Sweep, recorded: RecordedTrials, request: ReplayRequest, trials: WatchedTrials
) -> dict[_Setting, Simulation]:
    looks, plan = looks_as_pruned(trials, sweep), dict[_Setting, Simulation]()
    own = sweep.limits.pruning
    for pruner in request.pruners:
        warm_ups = {round(share * trials.n_steps) for share in (WARM_UPS if pruner != "none" else WARM_UPS[:1])}
        for warm_up in sorted(warm_ups | ({own.warm_up} if pruner == own.pruner else set())):
            setting = PruningSetting(pruner, warm_up)
            pruning = own.model_copy(update={"pruner": pruner, "warm_up": warm_up})
            # Population based training has a pruner of its own.
            pruned = _with(sweep, sampler="random", pruning=pruning)
            plan[setting] = PruningSimulation(pruned, recorded, trials, looks)
    return plan


def _of_searches(
    sweep: Sweep,
    recorded: RecordedTrials,
    request: ReplayRequest,
    refused: Mapping[str, str],
    results: Mapping[_Setting, np.ndarray],
) -> Searches:
    orders = {setting: found for setting, found in results.items() if isinstance(setting, SearchSetting)}
    apart = {setting: found for setting, found in results.items() if isinstance(setting, _SpreadSetting)}
    spreads: list[Spread] = [
        spread_of(
            setting.sampler,
            setting.at_once,
            together,
            apart[_SpreadSetting(setting.sampler, setting.at_once, False)],
            apart[_SpreadSetting("random", setting.at_once, True)],
            request.seed,
        )
        for setting, together in apart.items()
        if setting.told and setting.sampler in request.samplers
    ]
    after, neighbours = request.after_in(recorded), neighbours_correlation(recorded, request.seed)
    return Searches(
        request.repeats,
        sweep.limits.n_startup_trials,
        found_by(recorded, orders, after, request.seed, neighbours.low > 0),
        [any_order(recorded, n, first) for n in after for first in {setting.paper_first for setting in orders}],
        neighbours,
        spreads,
        min(request.repeats, MOST_SPREADS),
        refused,
    )


def _of_prunings(
    sweep: Sweep, trials: WatchedTrials, request: ReplayRequest, results: Mapping[_Setting, np.ndarray]
) -> Prunings:
    ended = {setting: found for setting, found in results.items() if isinstance(setting, PruningSetting)}
    sign = 1 if sweep.objectives()[0].direction == "maximize" else -1
    smoothed = sign * looks_as_pruned(trials, sweep)
    return Prunings(
        trials,
        request.repeats,
        sweep.limits.pruning.smoothing,
        correlations(trials, smoothed, request.seed),
        pruned_by(trials, ended, request.seed),
    )


def _notes_on_parts(
    request: ReplayRequest, recorded: RecordedTrials, refused: Mapping[str, str], why_not: str
) -> list[str]:
    """What was not replayed, and why."""
    notes = [f"{sampler} is left out: {reason}." for sampler, reason in refused.items()]
    n_trials = max(request.after_in(recorded)) if request.samplers else 0
    notes += [
        f"{at_once} at once: the {n_trials} trials of a search would all start before {at_once} have ended, so only the "
        "distance between proposals is measured."
        for at_once in request.at_once
        if 0 < n_trials <= at_once
    ]
    return notes + ([f"no pruner is replayed: {why_not}"] if why_not else [])

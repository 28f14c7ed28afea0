"""What is tried next and what is given up: Optuna proposes and prunes, Ray Tune asks."""

import dataclasses
import hashlib
import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, MedianPruner, NopPruner, PatientPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import TrialState
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search.searcher import Searcher

from vgsearch.ledger import TrialRecord
from vgsearch.space import ChoiceDomain, Domain, Pruning, is_active
from vgsearch.sweep import Sweep
from videogan.config import ConfigurationError

STUDY_NAME = "vgsearch"


@dataclass(frozen=True)
class Proposal:
    """A trial before it starts: its place in the sweep and the values chosen for the searched domains."""

    index: int
    overrides: dict[str, Any]
    is_paper_point: bool = False
    looks: tuple[tuple[int, float], ...] = ()

    @classmethod
    def again(cls, record: TrialRecord) -> "Proposal":
        """The same trial once more, with the looks it already had."""
        return cls(record.index, record.overrides, record.is_paper_point, tuple(sorted(record.looks.items())))


class IndexedSampler(BaseSampler):
    """TPE whose randomness follows from (sweep seed, trial index), so that a resumed sweep proposes what it would have.

    The index is the trial's own order in the sweep: failed trials count, or the next proposal, with the same seed and
    history, would be the failed point again. One TPE sampler serves all parameters of one trial: a fresh one for each
    would give every independent parameter the same random number.
    """

    def __init__(self, seed: int, n_startup_trials: int) -> None:
        self._seed, self._n_startup_trials = seed, n_startup_trials
        self.begin(0)

    def begin(self, index: int, given: dict[str, Any] | None = None) -> None:
        """Makes the next proposal the one of trial `index`: drawn, or `given` (a paper's point, a resumed trial)."""
        self._given = given or {}
        seed = int.from_bytes(hashlib.sha256(f"{self._seed}/{index}".encode()).digest()[:4], "big")
        with _experimental():  # `group`, which models conditional domains
            self._tpe = TPESampler(seed=seed, n_startup_trials=self._n_startup_trials, multivariate=True, group=True)

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict:
        return {} if self._given else self._tpe.infer_relative_search_space(study, trial)

    def sample_relative(self, study: Any, trial: Any, search_space: dict) -> dict[str, Any]:
        return {} if self._given else self._tpe.sample_relative(study, trial, search_space)

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        if self._given:
            return self._given[param_name]
        return self._tpe.sample_independent(study, trial, param_name, param_distribution)


class SweepListener(Protocol):
    """Who keeps the sweep's record: told of every trial that begins, looks and ends."""

    def begin(self, proposal: Proposal) -> dict[str, Any] | None:
        """The parameters to start a trial with, or None where nothing more is to start."""

    def progressed(self, parameters: dict[str, Any], result: dict[str, Any]) -> None: ...

    def ended(self, parameters: dict[str, Any], end: str, result: dict[str, Any]) -> None: ...


class StudySearcher(Searcher):
    """Ray Tune's Searcher over Optuna's ask and tell; every end is told as what it was."""

    def __init__(self, study: optuna.Study, sweep: Sweep, waiting: list[Proposal], listener: SweepListener) -> None:
        """`waiting` is proposed first: the paper's points of a new sweep, the unfinished trials of a resumed one."""
        super().__init__()
        self.study, self._sweep, self._waiting, self._listener = study, sweep, list(waiting), listener
        used = [trial.user_attrs["index"] for trial in study.trials if "index" in trial.user_attrs]
        self._objectives = sweep.objectives()
        self._next_index = 1 + max(used + [proposal.index for proposal in waiting], default=-1)
        self._running: dict[str, tuple[optuna.Trial, dict[str, Any]]] = {}
        self._looks: dict[str, list[float]] = defaultdict(list)

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        if self._waiting:
            proposal = self._waiting.pop(0)
        elif self._next_index < self._sweep.n_trials:
            proposal = Proposal(self._next_index, {})
        else:
            return Searcher.FINISHED
        self._next_index = max(self._next_index, proposal.index + 1)
        self.study.sampler.begin(proposal.index, asked(self._sweep.domains, proposal.overrides))
        trial = self.study.ask()
        chosen = suggest_all(trial, self._sweep.domains, self._sweep.overrides)
        parameters = self._listener.begin(dataclasses.replace(proposal, overrides=chosen))
        if parameters is None:
            self.study.tell(trial, state=TrialState.FAIL)
            return Searcher.FINISHED
        # Not before the record has it: an index without a trial would be skipped by a resume.
        trial.set_user_attr("index", proposal.index)
        self._running[trial_id] = trial, parameters
        for step, look in proposal.looks:
            self._should_prune(trial_id, step, look)
        return parameters

    def take(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Takes a trial's report into account; whether the study's pruner gives the trial up."""
        self._listener.progressed(self._running[trial_id][1], result)
        if "look" not in result or "end" in result:
            return False
        return self._should_prune(trial_id, result["step"], result["look"])

    def _should_prune(self, trial_id: str, step: int, look: float) -> bool:
        """Reports a look, smoothed, and asks the pruner, which Optuna has for a single objective only."""
        if len(self._objectives) > 1:
            return False
        trial, looks = self._running[trial_id][0], self._looks[trial_id]
        looks.append(look)
        recent = looks[-self._sweep.limits.pruning.smoothing :]
        # A larger look is always better, where a smaller value may be: Optuna compares both in the study's direction.
        sign = 1 if self._objectives[0].direction == "maximize" else -1
        trial.report(sign * sum(recent) / len(recent), step)
        return trial.should_prune()

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        trial, parameters = self._running.pop(trial_id)
        result = result or {}
        end = "failed" if error else result.get("end", "pruned")
        # The record first: it is the truth, and a trial that only the study called done would be run again.
        self._listener.ended(parameters, end, result)
        if end == "done":
            scores = reported(result, "scores")
            self.study.tell(trial, [objective.value_of(scores) for objective in self._objectives])
        else:
            self.study.tell(trial, state=TrialState.PRUNED if end == "pruned" else TrialState.FAIL)

    def on_trial_result(self, trial_id: str, result: dict) -> None:
        """Results come through `take`, which the scheduler calls."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing goes into the pickle that Ray Tune writes of its own state and that a resume here never reads."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study and the ledger are what a sweep resumes from."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, as in `save`."""


class LookScheduler(FIFOScheduler):
    """Stops a trial when the study's pruner, asked at each of its looks, says so."""

    def __init__(self, searcher: StudySearcher) -> None:
        super().__init__()
        self._searcher = searcher

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict) -> str:
        return self.STOP if self._searcher.take(trial.trial_id, result) else self.CONTINUE


def reported(result: dict[str, Any], name: str) -> dict[str, float]:
    """What a trial reported under `name`, which Ray Tune flattens: {"losses/d_image": 1.5} as {"d_image": 1.5}."""
    prefix = f"{name}/"
    return {key.removeprefix(prefix): value for key, value in result.items() if key.startswith(prefix)}


def open_study(path: Path, sweep: Sweep) -> optuna.Study:
    """The sweep's study on SQLite; what a killed driver left running is closed as failed, to be proposed again.

    Raises ConfigurationError where the study was begun for other objectives than the sweep's.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    objectives = sweep.objectives()
    study = optuna.create_study(
        storage=f"sqlite:///{path}",
        study_name=STUDY_NAME,
        directions=[objective.direction for objective in objectives],
        load_if_exists=True,
        sampler=IndexedSampler(sweep.seed, sweep.limits.n_startup_trials),
        pruner=_pruner(sweep.limits.pruning),
    )
    _name_objectives(study, [str(objective) for objective in objectives], path)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def _name_objectives(study: optuna.Study, written: list[str], path: Path) -> None:
    """Keeps the objectives' names in the study, which otherwise knows their directions alone."""
    if study.metric_names is None:
        with _experimental():
            study.set_metric_names(written)
    elif study.metric_names != written:
        began, asked = ", ".join(study.metric_names), ", ".join(written)
        raise ConfigurationError(
            f"{path}: the sweep began with evaluation.objective [{began}], and is asked for [{asked}]. "
            "Its scores would not compare: restore sweep.yaml, or start a new sweep."
        )


def suggest_all(trial: optuna.Trial, domains: dict[str, Domain], fixed: dict[str, Any]) -> dict[str, Any]:
    """Values for every active domain, conditional ones after what they depend on; integers include both ends."""
    chosen: dict[str, Any] = {}
    for path, domain in sorted(domains.items(), key=lambda item: bool(item[1].when)):
        if not is_active(domain, {**fixed, **chosen}):
            continue
        if isinstance(domain, ChoiceDomain):
            chosen[path] = trial.suggest_categorical(path, domain.choices)
        elif domain.type == "int":
            chosen[path] = trial.suggest_int(path, domain.low, domain.high, log=domain.log)
        elif domain.or_off is not None and not trial.suggest_categorical(_switch(path), [False, True]):
            chosen[path] = domain.or_off
        else:
            chosen[path] = trial.suggest_float(path, domain.low, domain.high, log=domain.log)
    return chosen


def asked(domains: dict[str, Domain], chosen: dict[str, Any]) -> dict[str, Any]:
    """`chosen` values and, where a domain can be off, whether it is on: all that `suggest_all` asks for by name."""
    switches = {
        _switch(path): value != domains[path].or_off
        for path, value in chosen.items()
        if getattr(domains.get(path), "or_off", None) is not None
    }
    return {**chosen, **switches}


def _switch(path: str) -> str:
    return f"{path} is on"


def _pruner(pruning: Pruning) -> BasePruner:
    if pruning.pruner == "none":
        return NopPruner()
    if pruning.pruner == "median":
        pruner: BasePruner = MedianPruner(n_startup_trials=pruning.n_startup_trials, n_warmup_steps=pruning.warm_up)
    else:
        pruner = SuccessiveHalvingPruner(min_resource=max(pruning.warm_up, 1), reduction_factor=3)
    if not pruning.patience:
        return pruner
    with _experimental():
        return PatientPruner(pruner, patience=pruning.patience)


@contextmanager
def _experimental() -> Iterator[None]:
    """Silences Optuna's warning that a feature may change in a later version: constraints.txt names the version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield

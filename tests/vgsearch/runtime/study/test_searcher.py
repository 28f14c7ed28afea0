"""The study proposes the paper's point first, stores every end, and proposes the same after a restart."""

import itertools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState
from ray import tune
from ray.tune.search.searcher import Searcher

from tests.builders import CONSTRAINT, N_CLIP, SIGMA_A, budgets_of, tiny_sweep
from vgsearch.experiment.end import End
from vgsearch.experiment.ledger import Ledger, TrialRecord, read_ledger
from vgsearch.runtime.cluster.cluster import Resources
from vgsearch.runtime.study.proposal import Proposal
from vgsearch.runtime.study.samplers import IndexedSampler, suggest_all
from vgsearch.runtime.study.searcher import LookScheduler, StudySearcher
from vgsearch.runtime.study.study import open_study
from vgsearch.space.domains import ChoiceDomain, FloatDomain, IntDomain, Searched
from vgsearch.space.space import load_space
from vgsearch.space.sweep import Sweep
from videogan.config import ConfigurationError

N_STARTUP = 4
MEDIAN = {"pruner": "median", "warm_up": 20, "n_startup_trials": 2, "smoothing": 2}


def a_sweep(
    n_trials: int = 12, seed: int = 0, pruning: dict[str, Any] = MEDIAN, objective: Any = "s3", **space: Any
) -> Sweep:
    """The shipped mvt_tsa with a random start short enough for a dozen trials to reach TPE."""
    limits, overrides = {"n_startup_trials": N_STARTUP, "pruning": pruning}, {"evaluation.objective": objective}
    values = load_space("mvt_tsa").model_dump() | space
    values["budgets"] = budgets_of(values, values["domains"])
    return tiny_sweep(values, limits=limits, overrides=overrides, n_trials=n_trials, seed=seed)


class Record:
    """A listener that records proposals and ends, and starts at most `n_started` trials."""

    def __init__(self, n_started: int = 1000) -> None:
        self.began: list[Proposal] = []
        self.ends: dict[int, str] = {}
        self.n_started = n_started

    def begin(self, proposal: Proposal) -> dict[str, Any] | None:
        if len(self.began) == self.n_started:
            return None
        self.began.append(proposal)
        return {"index": proposal.index, **proposal.overrides}

    def progressed(self, parameters: dict[str, Any], result: dict[str, Any]) -> None: ...

    def ended(self, parameters: dict[str, Any], end: End) -> None:
        self.ends[parameters["index"]] = end.state


class Driven:
    """A searcher on an SQLite study (in memory unless it restarts), driven by hand, one trial at a time."""

    def __init__(
        self,
        sweep: Sweep,
        waiting: list[Proposal] | None = None,
        record: Record | None = None,
        path: Path = Path(":memory:"),
        next_index: int = 0,
    ) -> None:
        self.record = record or Record()
        self.study = open_study(path, sweep)
        paper = [Proposal(0, sweep.paper_points[0], is_paper_point=True)]
        waiting = paper if waiting is None else waiting
        self.searcher = StudySearcher(self.study, sweep, waiting, self.record, next_index)
        self._ids = itertools.count()

    def ask(self) -> dict[str, Any] | None:
        """The parameters of the next trial, or None if no more trials start."""
        self._id = f"tune{next(self._ids)}"
        asked = self.searcher.suggest(self._id)
        return None if asked == Searcher.FINISHED else asked

    def look(self, step: int, look: float) -> bool:
        return self.searcher.take(self._id, {"step": step, "look": look, "losses": {}})

    def end(self, error: bool = False, **result: Any) -> None:
        self.searcher.on_trial_complete(self._id, {"step": 300, **result}, error=error)

    def done(self, **scores: float) -> None:
        """Ends the trial with these scores, flattened as Ray Tune does."""
        self.end(end="done", **{f"scores/{name}": score for name, score in scores.items()})

    def run(self, n: int) -> list[dict[str, Any]]:
        """Runs `n` trials: each scores by what it chose, but every fifth diverges."""
        return [self._run_one() for _ in range(n)]

    def _run_one(self) -> dict[str, Any]:
        chosen = self.ask()
        assert chosen is not None
        if chosen["index"] % 5 == 3:
            self.end(end="diverged")
        else:
            s3 = 1 - abs(chosen[SIGMA_A] - 0.3) + 0.1 * (chosen[CONSTRAINT] == "svc")
            self.done(s3=s3, kvd=1 - s3, cost=100 * chosen[SIGMA_A])
        return chosen

    @property
    def states(self) -> dict[int, TrialState]:
        """How the study remembers the newest start of each trial of the sweep."""
        return {trial.user_attrs["index"]: trial.state for trial in self.study.trials}


def choices(chosen: dict[str, Any]) -> dict[str, Any]:
    return {path: value for path, value in chosen.items() if path != "index"}


def test_the_papers_point_is_proposed_first_and_marked():
    driven = Driven(a_sweep())
    paper = load_space("mvt_tsa").paper_points[0]
    assert choices(driven.ask()) == paper
    driven.done(s3=0.5)
    driven.ask()
    first, second = driven.record.began
    assert (first.index, first.is_paper_point, second.index, second.is_paper_point) == (0, True, 1, False)
    assert second.overrides != paper
    # The motion constraint is off there, which Optuna knows as a choice.
    assert paper["model.alpha"] == 0
    expected = {path: value for path, value in paper.items() if path != "model.alpha"} | {"model.alpha is on": False}
    assert driven.study.trials[0].params == expected


def test_a_sweep_proposes_exactly_its_number_of_trials():
    driven = Driven(a_sweep(n_trials=3))
    assert [chosen["index"] for chosen in driven.run(3)] == [0, 1, 2]
    assert driven.ask() is None


@pytest.mark.parametrize(
    ("result", "error", "end", "state"),
    [
        ({"end": "done", "scores/s3": 0.4}, False, "done", TrialState.COMPLETE),
        ({"look": 0.1}, False, "pruned", TrialState.PRUNED),
        ({"end": "diverged"}, False, "diverged", TrialState.FAIL),
        ({"end": "failed"}, False, "failed", TrialState.FAIL),
        ({"end": "unscored"}, False, "unscored", TrialState.FAIL),
        ({"end": "interrupted"}, False, "interrupted", TrialState.FAIL),
        ({"look": 0.9}, True, "failed", TrialState.FAIL),
    ],
)
def test_every_end_reaches_the_study_as_its_own_state(result: dict, error: bool, end: str, state: TrialState):
    driven = Driven(a_sweep())
    driven.ask()
    driven.end(error=error, **result)
    assert driven.record.ends == {0: end}
    assert driven.states == {0: state}
    assert driven.study.trials[0].value == result.get("scores/s3")


@pytest.mark.parametrize("n_done", [1, N_STARTUP + 1], ids=["random start", "TPE"])
def test_a_trial_that_failed_is_never_proposed_again(n_done: int):
    driven = Driven(a_sweep(n_trials=20))
    proposed = []
    for _ in range(n_done):
        proposed.append(choices(driven.ask()))
        driven.done(s3=0.5)
    for _ in range(5):
        proposed.append(choices(driven.ask()))
        driven.end(end="failed")
    assert all(one != other for one, other in itertools.combinations(proposed, 2))


def test_proposals_depend_only_on_seed_index_and_history():
    seeds = {"first": 0, "again": 0, "other seed": 1}
    proposed = {name: Driven(a_sweep(seed=seed)).run(N_STARTUP + 3) for name, seed in seeds.items()}
    assert proposed["first"] == proposed["again"]
    assert proposed["first"][0] == proposed["other seed"][0]
    pairs = zip(proposed["first"][1:], proposed["other seed"][1:], strict=True)
    assert all(choices(one) != choices(other) for one, other in pairs)


def test_scores_change_only_proposals_after_the_random_start():
    proposed = {}
    for sign in (1, -1):
        driven = Driven(a_sweep())
        proposed[sign] = []
        for _ in range(N_STARTUP + 2):
            proposed[sign].append(driven.ask())
            driven.done(s3=sign * proposed[sign][-1][SIGMA_A])
    assert proposed[1][:N_STARTUP] == proposed[-1][:N_STARTUP]
    assert proposed[1][N_STARTUP:] != proposed[-1][N_STARTUP:]


def test_a_study_closed_during_a_trial_resumes_with_the_same_proposals(tmp_path: Path):
    path = tmp_path / "optuna.db"
    whole = Driven(a_sweep()).run(12)
    first = Driven(a_sweep(), path=path)
    first_points = first.run(6)
    cut_off = first.ask()
    first.look(50, 0.3)
    record = TrialRecord("t0006-aaaaaa", 6, choices(cut_off), state="running", looks={50: 0.3})
    reopened = Driven(a_sweep(), waiting=[Proposal.again(record)], path=path)
    assert reopened.states[6] == TrialState.FAIL
    assert first_points + reopened.run(6) == whole
    assert reopened.ask() is None


def test_a_resumed_trial_keeps_its_looks_and_its_index():
    paper = a_sweep().paper_points[0]
    record = TrialRecord("t0002-aaaaaa", 2, paper, state="interrupted", looks={100: 0.6, 50: 0.4})
    driven = Driven(a_sweep(), waiting=[Proposal.again(record)])
    assert driven.ask() == {"index": 2, **paper}
    driven.look(100, 0.6)  # reported again by the resumed attempt
    driven.look(150, 0.8)
    assert driven.study.trials[0].intermediate_values == {50: 0.4, 100: 0.5, 150: 0.7}
    driven.done(s3=0.5)
    assert driven.ask()["index"] == 3


def test_a_stop_consumes_no_trial(tmp_path: Path):
    path = tmp_path / "optuna.db"
    stopped = Driven(a_sweep(n_trials=4), record=Record(n_started=2), path=path)
    stopped.run(2)
    assert stopped.ask() is None
    reopened = Driven(a_sweep(n_trials=4), waiting=[], path=path, next_index=2)
    assert [chosen["index"] for chosen in reopened.run(2)] == [2, 3]


def test_independent_parameters_of_a_proposal_differ():
    names = [f"model.mean_{subspace}" for subspace in "abc"]
    domains = {name: {"type": "float", "low": 0.0, "high": 1.0} for name in names}
    sweep = a_sweep(domains=domains, constraints=[], paper_points=[dict.fromkeys(names, 0.0)])
    driven = Driven(sweep, waiting=[])
    for _ in range(N_STARTUP + 3):
        drawn = choices(driven.ask())
        driven.done(s3=sum(drawn.values()))
        assert min(abs(one - other) for one, other in itertools.combinations(drawn.values(), 2)) > 1e-4


def test_a_conditional_domain_is_searched_only_under_its_condition():
    driven = Driven(a_sweep(n_trials=20), waiting=[])
    ran = driven.run(10)
    assert all((N_CLIP in chosen) == (chosen[CONSTRAINT] == "svc") for chosen in ran)
    assert {chosen[CONSTRAINT] for chosen in ran} == {"svc", "spectral_norm"}


def test_a_domain_that_can_be_off_is_proposed_off_and_on_and_reproduced():
    path = "model.alpha"
    searched = Searched({path: FloatDomain(type="float", low=0.1, high=10.0, log=True, or_off=0.0)})
    sampler = IndexedSampler(seed=0, searched=searched, n_startup_trials=4)
    study = optuna.create_study(sampler=sampler)
    seen = []
    for index in range(24):
        sampler.begin(index)
        seen.append(suggest_all(study.ask(), searched)[path])
    on = [value for value in seen if value != 0.0]
    assert 6 <= len(on) <= 18
    assert all(0.1 <= value <= 10 for value in on)
    for value in seen:
        sampler.begin(99, {path: value})
        assert suggest_all(study.ask(), searched) == {path: value}


def test_an_override_activates_the_domains_conditional_on_it():
    domains = {N_CLIP: ChoiceDomain(type="choice", choices=[1, 2], when={CONSTRAINT: "svc"})}
    study = optuna.create_study()
    assert suggest_all(study.ask(), Searched(domains, {CONSTRAINT: "svc"})).keys() == {N_CLIP}
    assert suggest_all(study.ask(), Searched(domains, {CONSTRAINT: "spectral_norm"})) == {}


@pytest.mark.parametrize("log", [False, True])
def test_proposals_stay_inside_their_domains_and_integers_reach_both_ends(log: bool):
    domains = {
        "loop.n_d": IntDomain(type="int", low=1, high=3, log=log),
        SIGMA_A: FloatDomain(type="float", low=0.125, high=1.0, log=log),
    }
    sampler = IndexedSampler(0, Searched(domains), n_startup_trials=20)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    seen = []
    for index in range(40):
        sampler.begin(index)
        trial = study.ask()
        seen.append(suggest_all(trial, Searched(domains)))
        study.tell(trial, 0.5)
    assert {chosen["loop.n_d"] for chosen in seen} == {1, 2, 3}
    assert {chosen["loop.n_d"] for chosen in seen[:20]} == {1, 2, 3}
    assert all(chosen[SIGMA_A] in domains[SIGMA_A] for chosen in seen)
    assert len({chosen[SIGMA_A] for chosen in seen}) == 40


def two_good_trials(driven: Driven) -> None:
    for _ in range(2):
        driven.ask()
        for step in (10, 20, 30):
            assert not driven.look(step, 0.6)
        driven.done(s3=0.6)


def test_poor_looks_prune_a_trial_only_after_the_warm_up():
    driven = Driven(a_sweep())
    two_good_trials(driven)
    driven.ask()
    assert not driven.look(10, 0.1)
    assert driven.look(20, 0.1)


def test_one_poor_look_after_a_good_one_is_smoothed_away():
    driven = Driven(a_sweep())
    two_good_trials(driven)
    driven.ask()
    assert not driven.look(10, 0.95)
    assert not driven.look(20, 0.3)
    driven.done(s3=0.1)
    assert driven.study.trials[-1].intermediate_values == {10: 0.95, 20: pytest.approx(0.625)}


def test_a_report_without_a_look_never_prunes():
    driven = Driven(a_sweep())
    two_good_trials(driven)
    driven.ask()
    assert not driven.searcher.take(driven._id, {"step": 25, "losses": {}})
    assert not driven.searcher.take(
        driven._id, {"step": 30, "look": 0.0, "losses": {}, "end": "done", "scores/s3": 0.0}
    )
    assert driven.study.trials[-1].intermediate_values == {}


@pytest.mark.parametrize(
    ("pruning", "pruned_at"),
    [
        (MEDIAN, 20),
        ({"pruner": "none"}, None),
        (MEDIAN | {"tolerance": 0.3}, None),
        (MEDIAN | {"tolerance": 0.29}, 20),
        (MEDIAN | {"patience": 1, "smoothing": 1}, 30),
        ({"pruner": "successive_halving", "warm_up": 10}, 10),
    ],
    ids=["median", "none", "tolerant median", "less tolerant median", "patient median", "successive halving"],
)
def test_each_pruner_prunes_a_worsening_trial_at_the_expected_step(pruning: dict, pruned_at: int | None):
    driven = Driven(a_sweep(pruning=pruning))
    for _ in range(3):
        driven.ask()
        for step in (10, 20, 30):
            driven.look(step, 0.6)
        driven.done(s3=0.6)
    driven.ask()
    looks = {10: 0.3, 20: 0.2, 30: 0.1}
    assert next((step for step, look in looks.items() if driven.look(step, look)), None) == pruned_at


@pytest.mark.parametrize(
    "pruning", [MEDIAN | {"warm_up": 10}, {"pruner": "successive_halving", "warm_up": 10}], ids=["median", "halving"]
)
def test_poor_looks_prune_and_good_looks_do_not_also_when_the_score_is_minimised(pruning: dict):
    good, poor = (Driven(a_sweep(objective="-kvd", pruning=pruning)) for _ in range(2))
    for driven, looks in ((good, (-2.0, -1.0)), (poor, (-9.0, -9.5))):
        for _ in range(3):
            driven.ask()
            for step in (10, 20):
                driven.look(step, -5.0)
            driven.done(kvd=5.0)
        driven.ask()
        assert any(driven.look(step, look) for step, look in zip((10, 20), looks, strict=True)) == (driven is poor)


def test_a_minimised_score_is_stored_as_measured_and_small_values_are_searched():
    larger, smaller = Driven(a_sweep()), Driven(a_sweep(objective="-kvd"))
    # kvd = 1 - s3: TPE sees the same order of the same trials, and so proposes the same.
    assert larger.run(9) == smaller.run(9)
    values = [trial.value for trial in larger.study.trials if trial.state == TrialState.COMPLETE]
    assert [1 - trial.value for trial in smaller.study.trials if trial.state == TrialState.COMPLETE] == pytest.approx(
        values
    )
    assert smaller.study.direction == StudyDirection.MINIMIZE


TWO = ["s3", "-cost"]


def test_two_objectives_are_stored_in_order_and_never_prune():
    driven = Driven(a_sweep(objective=TWO))
    for _ in range(3):
        driven.ask()
        assert not any(driven.look(step, 0.6) for step in (10, 20, 30))
        driven.done(s3=0.6, ser=0.5, cost=100.0)
    driven.ask()
    assert not any(driven.look(step, 0.0) for step in (10, 20, 30))
    assert driven.study.trials[0].values == [0.6, 100.0]
    assert driven.study.directions == [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]


def test_a_trial_of_two_objectives_resumes_after_a_stop():
    record = TrialRecord("t0002-aaaaaa", 2, a_sweep().paper_points[0], state="interrupted", looks={50: 0.4})
    driven = Driven(a_sweep(objective=TWO), waiting=[Proposal.again(record)])
    assert driven.ask()["index"] == 2
    assert not driven.look(100, 0.1)
    driven.done(s3=0.5, cost=3.0)
    assert driven.states == {2: TrialState.COMPLETE}


def test_a_study_of_two_objectives_resumes_with_the_same_proposals(tmp_path: Path):
    path = tmp_path / "optuna.db"
    whole = Driven(a_sweep(objective=TWO)).run(12)
    first_points = Driven(a_sweep(objective=TWO), path=path).run(7)
    assert first_points + Driven(a_sweep(objective=TWO), waiting=[], path=path, next_index=7).run(5) == whole


@pytest.mark.parametrize("other", ["ser", "-kvd", ["-cost", "s3"], TWO])
def test_a_study_refuses_other_objectives(tmp_path: Path, other: Any):
    path = tmp_path / "optuna.db"
    open_study(path, a_sweep())
    with pytest.raises(ConfigurationError, match=r"started with evaluation\.objective \[s3\], got \["):
        open_study(path, a_sweep(objective=other))
    open_study(path, a_sweep())


def test_proposing_raises_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Driven(a_sweep()).run(2)
        Driven(a_sweep(objective=TWO)).run(N_STARTUP + 2)


def run_one_by_one(trial: Callable[[dict[str, Any]], None], searcher: StudySearcher, folder: Path) -> None:
    """A real Tune run of fake trials, one at a time, until the searcher has no more."""
    tune.Tuner(
        trial,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=LookScheduler(searcher),
            num_samples=-1,
            max_concurrent_trials=1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name="tune", storage_path=str(folder), verbose=0),
    ).fit()


def test_a_real_tune_run_stores_the_end_of_each_trial_in_the_study(tmp_path: Path, ray_cluster: Resources):
    sweep = a_sweep(n_trials=6)
    record = Record()
    study = open_study(tmp_path / "optuna.db", sweep)
    searcher = StudySearcher(study, sweep, [Proposal(0, sweep.paper_points[0], is_paper_point=True)], record)

    def millisecond_trial(parameters: dict[str, Any]) -> None:
        index = parameters["index"]
        for step in (10, 20, 30):
            tune.report({"step": step, "look": 0.1 if index == 5 else 0.6, "losses": {}})
            if index == 2:
                raise RuntimeError("the process broke")
        end = {"end": "diverged"} if index == 3 else {"end": "done", "scores": {"s3": 0.6, "cost": 1.0}}
        tune.report({"step": 30, "losses": {}, **end})

    run_one_by_one(millisecond_trial, searcher, tmp_path)
    assert record.ends == {0: "done", 1: "done", 2: "failed", 3: "diverged", 4: "done", 5: "pruned"}
    states = [study.trials[i].state.name for i in range(6)]
    assert states == ["COMPLETE", "COMPLETE", "FAIL", "FAIL", "COMPLETE", "PRUNED"]
    assert [proposal.is_paper_point for proposal in record.began] == [True, False, False, False, False, False]


class Recorded(Record):
    """A listener that also writes the ledger, as a driver does."""

    def __init__(self, path: Path, sweep: Sweep) -> None:
        super().__init__()
        self.ledger = Ledger(path)
        self.ledger.append("sweep_started", objective=[str(objective) for objective in sweep.objectives()])

    def begin(self, proposal: Proposal) -> dict[str, Any] | None:
        facts = {"trial": f"t{proposal.index:04d}-aaaaaa", "index": proposal.index, "overrides": proposal.overrides}
        self.ledger.append("trial_started", **facts, is_paper_point=proposal.is_paper_point, n_steps=30)
        return super().begin(proposal)

    def ended(self, parameters: dict[str, Any], end: End) -> None:
        trial = f"t{parameters['index']:04d}-aaaaaa"
        self.ledger.append("trial_ended", trial=trial, **end.to_event())
        super().ended(parameters, end)


def test_a_real_tune_run_of_two_objectives_finds_their_front_and_a_second_one_keeps_it(
    tmp_path: Path, ray_cluster: Resources
):
    s3, cost = (0.5, 0.6, 0.4, 0.8, 0.7), (20.0, 30.0, 10.0, 90.0, 95.0)

    def millisecond_trial(parameters: dict[str, Any]) -> None:
        index = parameters["index"]
        tune.report({"step": 10, "look": 0.1, "losses": {}})
        tune.report({"step": 30, "losses": {}, "end": "done", "scores": {"s3": s3[index], "cost": cost[index]}})

    for n_trials, front, best in ((3, [0, 1, 2], 1), (5, [0, 1, 2, 3], 3)):
        sweep = a_sweep(n_trials=n_trials, objective=TWO)
        record = Recorded(tmp_path / "ledger.jsonl", sweep)
        study = open_study(tmp_path / "optuna.db", sweep)
        searcher = StudySearcher(study, sweep, [], record, record.ledger.record.next_index)
        run_one_by_one(millisecond_trial, searcher, tmp_path / str(n_trials))
        read = read_ledger(tmp_path / "ledger.jsonl")
        assert [trial.index for trial in read.front] == front
        assert [trial.number for trial in study.best_trials] == front
        assert read.best.index == best


class Unwritable(Record):
    """A listener whose disk is full when the first trial ends."""

    def ended(self, parameters: dict[str, Any], end: End) -> None:
        raise OSError(28, "No space left on device")


def test_after_an_error_of_the_driver_no_trial_starts_reports_or_ends():
    driven = Driven(a_sweep(), record=Unwritable())
    driven.ask()
    # Ray Tune mistakes the first error for a failure of the trial, and restarts the trial.
    for call in (lambda: driven.done(s3=0.5), lambda: driven.look(10, 0.3), driven.ask, lambda: driven.done(s3=0.5)):
        with pytest.raises(OSError, match="No space left"):
            call()
    assert driven.states == {0: TrialState.RUNNING}

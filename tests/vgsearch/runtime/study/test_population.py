"""Population based training: poor trials are pruned, their successors start from good weights, also when resumed."""

import io
import random
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from rich.console import Console

from tests.builders import tiny_sweep
from vgsearch.experiment.ledger import Ledger, SweepRecord, read_events, read_ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.study.population import CHANGEABLE, PopulationPruner, mutated, successor
from vgsearch.runtime.study.rebuild import rebuild
from vgsearch.runtime.study.samplers import refuse_unfit_sampler
from vgsearch.runtime.study.searcher import StudySearcher
from vgsearch.runtime.study.study import new_study
from vgsearch.runtime.sweep.resuming import left_to_do
from vgsearch.runtime.sweep.tune import Driver
from vgsearch.space.budgets import Population
from vgsearch.space.space import load_space
from vgsearch.space.sweep import Sweep
from vgsearch.terminal.sweep_table import SweepView
from videogan.config import ConfigurationError, parse_config

HEALTH = '{"states": {}, "vitals": {}}'


def a_sweep(n_trials: int = 6, **population: Any) -> Sweep:
    settings = load_space("mvt_mc_pbt").budgets["smoke"].pbt.model_dump()
    return tiny_sweep("mvt_mc_pbt", limits={"pbt": settings | population}, n_trials=n_trials)


def looked(index: int, looks: dict[int, float], state: str = "running") -> dict[str, Any]:
    record = SweepRecord()
    facts = {"trial": f"t{index}", "index": index, "overrides": {}, "is_paper_point": False, "n_steps": 200}
    record.apply({"time": 0.0, "event": "trial_started", **facts})
    trial = record.trials[f"t{index}"]
    trial.overrides = {"model.alpha": 1.0, "optimiser.lr_g": 1e-4, "optimiser.lr_d": 2e-4}
    trial.looks, trial.state = looks, state
    return {trial.trial_id: trial}


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_worst_of_the_trials_at_the_same_step_are_pruned(direction: str):
    sign = 1 if direction == "maximize" else -1
    study = optuna.create_study(
        direction=direction, pruner=PopulationPruner(Population(size=4, every=50, quantile=0.25))
    )
    trials = [study.ask({"x": FloatDistribution(0, 1)}) for _ in range(5)]
    for trial, look in zip(trials, (0.5, 0.2, 0.9, 0.4), strict=False):
        trial.report(sign * look, 25)
        assert not trial.should_prune(), "trials are compared only every 50 steps"
    pruned = []
    for number, look in enumerate((0.5, 0.2, 0.9, 0.4)):
        trials[number].report(sign * look, 50)
        pruned.append(trials[number].should_prune())
    assert pruned == [False, False, False, False], (
        "none is pruned before all four have reported; the last is not the worst"
    )
    assert trials[1].should_prune()
    trials[4].report(sign * 0.1, 50)
    assert trials[4].should_prune()
    assert not trials[1].should_prune(), "a quarter of five is one"
    assert not trials[2].should_prune()


def test_a_successor_starts_from_one_of_the_best_trials_with_mutated_values():
    sweep = a_sweep(size=4, every=50, quantile=0.25)
    record = SweepRecord(
        trials=looked(0, {50: 0.3}) | looked(1, {50: 0.8}) | looked(2, {50: 0.9}, "pruned") | looked(3, {25: 1.0})
    )
    found = successor(record, sweep, 4)
    assert found.parent == 1, "neither a pruned one nor one before the first comparison"
    assert found.overrides != record.trials["t1"].overrides
    assert found == successor(record, sweep, 4), "depends only on sweep seed, index and record"
    assert {successor(record, sweep, index).overrides["optimiser.lr_g"] for index in range(4, 12)} != {
        found.overrides["optimiser.lr_g"]
    }
    assert successor(record, sweep, 3) is None, "the first population is drawn"
    assert successor(SweepRecord(), sweep, 4) is None
    assert successor(record, tiny_sweep("mvt_mc", n_trials=sweep.n_trials), 4) is None


def test_mutated_values_stay_in_their_domains_and_reach_both_ends():
    sweep = a_sweep(factor=2.0, resample=0.1)
    rng, values = random.Random(0), {"model.alpha": 1.0, "optimiser.lr_g": 1e-4, "optimiser.lr_d": 2e-4}
    seen = [values]
    for _ in range(300):
        seen.append(mutated(seen[-1], sweep, rng))
    for path, domain in sweep.domains.items():
        of_path = [chosen[path] for chosen in seen]
        assert all(value in domain for value in of_path)
        assert min(of_path) == domain.ends[0]
        assert max(of_path) == domain.ends[-1]


def test_pbt_refuses_domains_that_change_the_network():
    limits = {"sampler": "pbt", "n_startup_trials": 10, "pruning": {}}
    with pytest.raises(ConfigurationError) as refused:
        refuse_unfit_sampler(tiny_sweep("mvt_mc", limits=limits, n_trials=4, max_concurrent=1))
    for message in (
        "model.n_frames_image can't change while a network trains",
        "raise --trials",
        "raise --max-concurrent",
    ):
        assert message in str(refused.value)
    assert set(a_sweep().domains) == set(CHANGEABLE)


def test_settings_without_effect_are_refused():
    budget = load_space("mvt_mc_pbt").model_dump()["budgets"]["smoke"]
    for change, message in (
        ({"sampler": "tpe"}, "pbt = .* has no effect under sampler = tpe"),
        ({"n_startup_trials": 3}, "n_startup_trials = 3 has no effect under sampler = pbt"),
        ({"pruning": {"warm_up": 5}}, "ignores the pruning settings except smoothing"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            parse_config(type(load_space("mvt_mc").budgets["smoke"]), {**budget, **change})


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    experiment = Experiment(tmp_path / "s")
    ledger = Ledger(experiment.ledger)
    sweep = a_sweep(every=50)
    ledger.append("sweep_started", space="mvt_mc_pbt", budget="smoke", objective=["s3"], seed=0)
    view = SweepView(Console(file=io.StringIO()), ledger.record, sweep.n_trials)
    return Driver(experiment, sweep, Inputs("data", "plain_32", "cache"), ledger, view)


def test_a_trial_starts_at_its_parents_checkpoint_and_the_ledger_records_the_parent(driver: Driver):
    sweep, experiment = driver.sweep, driver.experiment
    study = new_study(optuna.storages.InMemoryStorage(), sweep)
    searcher = StudySearcher(study, sweep, left_to_do(driver.record, sweep), driver, 0, driver.successor)
    began = [searcher.suggest(name) for name in ("a", "b")]
    for name, parameters, look in zip(("a", "b"), began, (0.8, 0.2), strict=True):
        checkpoints = experiment.trial(parameters["trial_id"]).checkpoints
        checkpoints.mkdir()
        for step in (25, 50):
            (checkpoints / f"step{step:08d}.pt").write_bytes(f"{name} at {step}".encode())
            pruned = searcher.take(name, {"step": step, "look": look, "losses": {}, "health": HEALTH})
            assert pruned == (name == "b" and step == 50)
    searcher.on_trial_complete("b", {"step": 50})
    third = searcher.suggest("c")
    folder = experiment.trial(third["trial_id"])
    assert {path.name: path.read_bytes() for path in folder.checkpoints.iterdir()} == {"step00000050.pt": b"a at 50"}
    parent, child = began[0]["trial_id"], driver.record.trials[third["trial_id"]]
    assert child.parent == {"trial": parent, "index": 0, "step": 50}
    assert child.overrides != driver.record.trials[parent].overrides
    # A new driver resumes it with the same study.
    record = read_ledger(experiment.ledger)
    (again,) = [proposal for proposal in left_to_do(record, sweep) if proposal.index == 2]
    assert again.parent == 0
    rebuilt = new_study(optuna.storages.InMemoryStorage(), sweep)
    rebuild(read_events(experiment.ledger), rebuilt, sweep)
    assert [trial.params for trial in rebuilt.trials] == [trial.params for trial in study.trials]
    # Later checkpoints of the parent do not matter: the child has its own copy.
    (experiment.trial(parent).checkpoints / "step00000075.pt").write_bytes(b"later")
    assert folder.inherit(experiment.trial(parent), below=200) == 50
    assert len(list(folder.checkpoints.iterdir())) == 1

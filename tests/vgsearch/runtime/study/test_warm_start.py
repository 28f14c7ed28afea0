"""A new study knows the done trials of earlier experiments that ran with its own settings."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.trial import TrialState

from tests.builders import tiny_sweep
from vgsearch.experiment.ledger import Ledger, read_ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.study.samplers import suggest_all
from vgsearch.runtime.study.study import open_study
from vgsearch.runtime.study.warm_start import add_known, as_entries, known_trials
from vgsearch.space.space import load_space
from vgsearch.space.sweep import Sweep
from videogan.config import ConfigurationError

PROTOCOL, OTHER = "9f2c1a" + 58 * "0", "b00000" + 58 * "0"
PAPER = load_space("mvt_tsa").paper_points[0]
POINTS = [PAPER, {**PAPER, "model.sigma_a": 0.3}, {**PAPER, "model.sigma_a": 0.2, "optimiser.lr_d": 4e-4}]


def a_sweep(space: str = "mvt_tsa", n_startup_trials: int = 3, **settings: Any) -> Sweep:
    return tiny_sweep(space, limits={"n_startup_trials": n_startup_trials}, **settings)


def an_experiment(folder: Path, points: list[dict[str, Any]] = POINTS, sweep: Sweep | None = None) -> Experiment:
    """The experiment of a sweep with done trials, whose S3 is 1 minus sigma_a, and a diverged one."""
    sweep, experiment = sweep or a_sweep(), Experiment(folder)
    ledger = Ledger(experiment.ledger)
    objective = [str(objective) for objective in sweep.objectives()]
    ledger.append("sweep_started", space="mvt_tsa", objective=objective, protocol=PROTOCOL)
    for index, chosen in enumerate([*points, points[-1]]):
        config = sweep.run_config(chosen, index)
        trial = sweep.trial_id(config, index)
        path = experiment.trial(trial).config
        path.parent.mkdir(parents=True)
        path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
        facts = {"index": index, "overrides": chosen, "is_paper_point": index == 0, "n_steps": 200}
        ledger.append("trial_started", trial=trial, **facts)
        for step, look in ((150, 0.2), (200, 0.4)):
            ledger.append("look", trial=trial, step=step, look=look, losses={})
        s3 = 1 - chosen.get("model.sigma_a", 0.5)
        end = {"state": "done", "scores": {"s3": s3, "cost": 5.0}} if index < len(points) else {"state": "diverged"}
        ledger.append("trial_ended", trial=trial, **end)
    return experiment


def refusal(sweep: Sweep, protocol: str = PROTOCOL) -> str:
    with pytest.raises(ConfigurationError) as caught:
        known_trials(sweep, protocol)
    return str(caught.value)


def test_known_trials_enter_the_study_but_are_no_trials_of_the_sweep(tmp_path: Path):
    sweep = a_sweep(warm_start=[str(an_experiment(tmp_path / "old").folder)])
    known, notes = known_trials(sweep, PROTOCOL)
    ledger = Ledger(tmp_path / "new" / "ledger.jsonl")
    ledger.append("warm_started", trials=as_entries(known))
    assert ledger.record.trials == {}
    study = open_study(tmp_path / "optuna.db", sweep)
    # As the driver has it, and again as a resumed sweep reads it: each is known once.
    for record in (ledger.record, read_ledger(ledger.path)):
        add_known(study, sweep, record.known)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3
    assert [trial.value for trial in study.trials] == [0.5, 0.7, 0.8]
    assert [trial.user_attrs for trial in study.trials] == [{"known": f"old/{trial.trial_id}"} for trial in known]
    assert study.trials[1].params["model.sigma_a"] == 0.3
    assert study.trials[2].params["optimiser.lr_d"] == 4e-4
    assert study.trials[0].intermediate_values == {150: 0.2, 200: pytest.approx(0.3)}, "smoothed, as its own looks are"
    assert notes == ["warm start: the study starts with 3 done trials of old"]


def test_known_trials_replace_the_random_start(tmp_path: Path):
    cold = a_sweep()
    warm = a_sweep(warm_start=[str(an_experiment(tmp_path / "old").folder)])
    first = {}
    for name, sweep in (("cold", cold), ("warm", warm)):
        study = open_study(Path(":memory:"), sweep)
        if sweep.warm_start:
            add_known(study, sweep, as_entries(known_trials(sweep, PROTOCOL)[0]))
        study.sampler.begin(1)
        first[name] = suggest_all(study.ask(), sweep.searched)
    assert first["cold"] != first["warm"]


def test_another_protocol_is_refused_with_both_digests(tmp_path: Path):
    message = refusal(a_sweep(warm_start=[str(an_experiment(tmp_path / "old").folder)]), OTHER)
    assert "protocol 9f2c1a, this sweep is scored under b00000" in message


def test_another_objective_is_refused(tmp_path: Path):
    folder = str(an_experiment(tmp_path / "old").folder)
    message = refusal(a_sweep(warm_start=[folder], overrides={"evaluation.objective": "ser"}))
    assert "it searched for [s3], this sweep searches for [ser]" in message


def test_trials_with_other_settings_are_left_out_with_a_note(tmp_path: Path):
    folder = str(an_experiment(tmp_path / "old").folder)
    message = refusal(a_sweep(warm_start=[folder], overrides={"loop.n_steps": 300}))
    assert "none of its 3 done trials is a point of this sweep; 3 left out: other settings (loop.n_steps)" in message
    # Two of three have another sigma_a than the one that is set.
    known, notes = known_trials(a_sweep(warm_start=[folder], overrides={"model.sigma_a": 0.5}), PROTOCOL)
    assert [trial.overrides.get("model.sigma_a") for trial in known] == [None]
    assert notes == [
        "warm start: the study starts with 1 done trials of old; 2 left out: other settings (model.sigma_a)"
    ]


def test_a_point_outside_the_new_domains_is_left_out(tmp_path: Path):
    folder = str(an_experiment(tmp_path / "old").folder)
    narrow = a_sweep(warm_start=[folder])
    values = narrow.model_dump()
    values["space"]["domains"]["model.sigma_a"] |= {"low": 0.25}
    known, notes = known_trials(Sweep(**values), PROTOCOL)
    assert [trial.overrides["model.sigma_a"] for trial in known] == [0.5, 0.3]
    assert notes[0].endswith("1 left out: model.sigma_a outside its domain")


def test_a_domain_that_the_earlier_sweep_fixed_is_read_from_its_configuration(tmp_path: Path):
    fixed = a_sweep(overrides={"model.sigma_b": 1.5})
    points = [{path: value for path, value in point.items() if path != "model.sigma_b"} for point in POINTS]
    folder = str(an_experiment(tmp_path / "old", points, fixed).folder)
    known, _ = known_trials(a_sweep(warm_start=[folder]), PROTOCOL)
    assert [trial.overrides["model.sigma_b"] for trial in known] == [1.5] * 3

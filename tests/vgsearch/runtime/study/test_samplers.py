"""Every sampler proposes by seed, index and history, inside domains and constraints, or is refused at the start."""

import itertools
import math
from typing import Any

import optuna
import pytest

from tests.builders import tiny_sweep
from vgsearch.runtime.study.samplers import IndexedSampler, grid_of, refuse_unfit_sampler, suggest_all
from vgsearch.runtime.study.study import sampler_of
from vgsearch.space.domains import FloatDomain, Searched
from vgsearch.space.inequality import Inequality
from vgsearch.space.space import load_space
from vgsearch.space.sweep import Sweep
from videogan.config import ConfigurationError

RATE, CONSTRAINT, N_CLIP = "optimiser.lr_g", "model.constraint_d_video", "model.n_clip"
SIGMAS = ["model.sigma_a", "model.sigma_b", "model.sigma_c"]
ORDERED = ["model.sigma_a <= model.sigma_b", "model.sigma_b <= model.sigma_c"]
FLOATS = {name: {"type": "float", "low": 0.125, "high": 4.0, "log": True} for name in SIGMAS}
GRID = {
    RATE: {"type": "float", "low": 1e-5, "high": 1e-3, "log": True, "steps": 3},
    CONSTRAINT: {"type": "choice", "choices": ["spectral_norm", "svc"]},
    N_CLIP: {"type": "int", "low": 1, "high": 3, "when": {CONSTRAINT: "svc"}},
}
NAMED = {**GRID, RATE: {"type": "float", "low": 1e-5, "high": 1e-3, "log": True}}
GRID_POINT = {RATE: 5e-5, CONSTRAINT: "spectral_norm"}
PAPER = {"model.sigma_a": 0.5, "model.sigma_b": 1.0, "model.sigma_c": 2.0}


def a_sweep(
    sampler: str, domains: dict[str, Any], point: dict[str, Any], constraints: list[str] | None = None, **settings: Any
) -> Sweep:
    startup = {} if sampler in ("grid", "random") else {"n_startup_trials": 3}
    values = load_space("mvt_var").model_dump()
    values |= {"domains": domains, "paper_points": [point], "constraints": constraints or []}
    values["budgets"] = {"smoke": {"purpose": "test", "n_trials": 8, "sampler": sampler, **startup}}
    return tiny_sweep(values, **settings)


def proposed(sweep: Sweep, n: int, study: optuna.Study | None = None, first: int = 1) -> list[dict[str, Any]]:
    """The proposals of trials first, first + 1, ..., each scored by how far its values lie from 0.3."""
    study = study or optuna.create_study()
    study.sampler = sampler = sampler_of(sweep)
    points = []
    for index in range(first, first + n):
        sampler.begin(index)
        trial = study.ask()
        points.append(suggest_all(trial, sweep.searched))
        study.tell(trial, sum(abs(v - 0.3) for v in points[-1].values() if isinstance(v, float)))
    return points


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_proposals_depend_only_on_seed_index_and_history_also_with_a_new_sampler(sampler: str):
    if sampler == "gp":
        pytest.importorskip("scipy", reason="the gp sampler needs scipy")
    sweep = a_sweep(sampler, FLOATS, PAPER)
    whole = proposed(sweep, 5)
    study = optuna.create_study()
    assert proposed(sweep, 4, study) + proposed(sweep, 1, study, first=5) == whole
    assert proposed(a_sweep(sampler, FLOATS, PAPER, seed=1), 1) != whole[:1]
    assert all(one != other for one, other in itertools.combinations(whole, 2))


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_proposal_is_what_the_study_would_have_stored_and_another_point_can_take_its_place(sampler: str):
    sweep = a_sweep(sampler, NAMED, GRID_POINT)
    studies = [optuna.create_study() for _ in range(2)]
    for study in studies:
        proposed(sweep, 6, study)
    shown, stored = studies
    trial, drawing = shown.ask(), shown.sampler
    assert isinstance(drawing, IndexedSampler)
    found = drawing.proposal(trial, 7)
    assert [found] == proposed(sweep, 1, stored, first=7)
    drawing.begin(7, GRID_POINT)
    assert suggest_all(trial, sweep.searched) == trial.params == GRID_POINT != found


def test_a_random_sampler_learns_nothing_and_a_gp_learns():
    pytest.importorskip("scipy", reason="the gp sampler needs scipy")
    rates = {sampler: [] for sampler in ("random", "gp")}
    for sampler, points in rates.items():
        points += [sum(abs(v - 0.3) for v in p.values()) for p in proposed(a_sweep(sampler, FLOATS, PAPER), 14)]
    assert min(rates["gp"]) < min(rates["random"])
    assert rates["gp"][:3] == rates["random"][:3], "the random start is the same"


def test_a_grid_has_every_point_once_and_starts_with_the_papers():
    sweep = a_sweep("grid", GRID, GRID_POINT)
    rates = pytest.approx([1e-5, 1e-4, 1e-3], rel=1e-12)
    points = proposed(sweep, 3 * (1 + 3))
    assert sorted({point[RATE] for point in points}) == rates
    assert len({tuple(point.items()) for point in points}) == len(points) == len(grid_of(sweep))
    assert all((N_CLIP in point) == (point[CONSTRAINT] == "svc") for point in points)
    assert proposed(sweep, 12) == points
    assert proposed(a_sweep("grid", GRID, GRID_POINT, seed=1), 12) != points


def test_a_grid_does_not_repeat_the_papers_point():
    on_grid = {**GRID_POINT, RATE: 1e-5}
    assert len(grid_of(a_sweep("grid", GRID, on_grid))) == 3 * (1 + 3) - 1


def test_a_grid_satisfies_constraints_and_overrides():
    steps = {name: {**domain, "steps": 3} for name, domain in FLOATS.items()}
    points = grid_of(a_sweep("grid", steps, PAPER, ORDERED))
    assert len(points) == math.comb(3 + 2, 3), "non-decreasing triples of 3 values"
    set_ = a_sweep("grid", steps, PAPER, ORDERED, overrides={"model.sigma_b": 0.5})
    assert all(point["model.sigma_a"] <= 0.5 <= point["model.sigma_c"] for point in grid_of(set_))


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_every_proposal_satisfies_the_constraints_and_is_reproducible(sampler: str):
    sweep = a_sweep(sampler, FLOATS, PAPER, ORDERED)
    points = proposed(sweep, 6)
    assert all(p["model.sigma_a"] <= p["model.sigma_b"] <= p["model.sigma_c"] for p in points)
    assert len({p["model.sigma_a"] for p in points}) == 6
    assert proposed(sweep, 4) == points[:4]


def test_a_redrawn_proposal_leaves_one_trial_in_the_study():
    study = optuna.create_study()
    proposed(a_sweep("random", FLOATS, PAPER, ORDERED), 6, study)
    assert len(study.trials) == 6
    assert all(trial.params.keys() == set(SIGMAS) for trial in study.trials)


def test_constrained_draws_cover_the_allowed_region():
    names = ["a", "b"]
    domains = {name: FloatDomain(type="float", low=0.0, high=1.0) for name in names}
    sampler = IndexedSampler(0, Searched(domains, {}, (Inequality("a", "b"),)), "random")
    study = optuna.create_study(sampler=sampler)
    points = []
    for index in range(300):
        sampler.begin(index)
        points.append(suggest_all(study.ask(), sampler._searched))
    # Uniform on the triangle a <= b: means of 1/3 and 2/3, with standard errors of 0.236 / sqrt(300).
    for name, mean in (("a", 1 / 3), ("b", 2 / 3)):
        assert sum(point[name] for point in points) / 300 == pytest.approx(mean, abs=4 * 0.236 / math.sqrt(300))


def refusal(*args: Any, **settings: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        refuse_unfit_sampler(a_sweep(*args, **settings))
    return str(caught.value)


def test_an_infinite_or_too_large_grid_is_refused():
    assert "model.sigma_a is a float domain without steps" in refusal("grid", FLOATS, PAPER)
    huge = {name: {**domain, "steps": 100} for name, domain in FLOATS.items()}
    assert "up to 1,000,000 points, at most 100,000 are allowed" in refusal("grid", huge, PAPER)
    fixed = {"overrides": dict.fromkeys(SIGMAS[1:], 1.0)}
    refuse_unfit_sampler(a_sweep("grid", {**FLOATS, SIGMAS[0]: {**FLOATS[SIGMAS[0]], "steps": 7}}, PAPER, **fixed))


def test_a_grid_with_fewer_points_than_trials_is_refused_with_the_number_of_points():
    assert "20 trials requested, but the grid has 13 points; use --trials 13" in refusal(
        "grid", GRID, GRID_POINT, n_trials=20
    )
    refuse_unfit_sampler(a_sweep("grid", GRID, GRID_POINT, n_trials=13))


def test_a_gp_refuses_a_space_it_cannot_model_with_all_reasons():
    reasons = refusal("gp", NAMED, GRID_POINT)
    assert f"{CONSTRAINT} is a choice" in reasons
    assert f"{N_CLIP} is conditional" in reasons
    assert "until it satisfies the constraints" in refusal("gp", FLOATS, PAPER, ORDERED)
    two = {"evaluation.objective": ["s3", "-cost"]}
    assert "it models one objective" in refusal("gp", FLOATS, PAPER, overrides=two)
    switched = {**FLOATS, SIGMAS[0]: {**FLOATS[SIGMAS[0]], "or_off": 0.0}}
    assert "model.sigma_a may be off" in refusal("gp", switched, PAPER)


def test_any_sampler_accepts_a_run_without_proposals():
    refuse_unfit_sampler(a_sweep("gp", NAMED, GRID_POINT, n_trials=1))
    sampler_of(a_sweep("grid", FLOATS, PAPER, n_trials=1))

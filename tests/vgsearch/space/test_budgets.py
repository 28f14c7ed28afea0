"""A space takes the shared budgets and lists only what differs; budgets it spells out stay as they are."""

from typing import Any

import pytest
import yaml

from tests.builders import tiny_sweep
from vgsearch.space.budgets import BUDGETS, Budget, with_shared_budgets
from vgsearch.space.space import load_space, parse_space
from videogan.config import ConfigurationError

MVT = load_space("mvt")


def budgets(written: Any) -> dict[str, Budget]:
    values = MVT.model_dump(mode="json") | {"budgets": written}
    return parse_space(yaml.safe_dump(values), "mine.yaml").budgets


def test_the_shared_budgets_are_those_of_the_shipped_space():
    assert budgets({"scaled": "mvt"}) == MVT.budgets
    assert tuple(MVT.budgets) == BUDGETS


def test_a_budget_that_differs_keeps_the_rest_of_the_shared_one():
    mine = budgets({"scaled": "mvt", "smoke": {"n_trials": 3, "overrides": {"loop.n_steps": 100, "loop.n_d": 2}}})
    expected = MVT.budgets["smoke"].model_dump()
    expected["overrides"] |= {"loop.n_steps": 100, "loop.n_d": 2}
    assert mine["smoke"].model_dump() == expected | {"n_trials": 3}
    assert mine["laptop"] == MVT.budgets["laptop"]


def test_null_puts_a_setting_of_a_shared_budget_back_to_its_default():
    mine = budgets({"scaled": "mvt", "smoke": {"n_startup_trials": None, "pruning": None, "sampler": "random"}})
    assert mine["smoke"].pruning == Budget(purpose="", n_trials=1).pruning != MVT.budgets["smoke"].pruning


def test_a_new_familys_space_spells_how_its_network_is_scaled():
    mine = budgets({"scaled": {"overrides": {"model.channels": 4}}})
    shared = {path: MVT.budgets["smoke"].overrides[path] for path in ("loop.n_steps", "evaluation.protocol")}
    assert mine["smoke"].overrides.items() >= (shared | {"model.channels": 4}).items()
    assert "optimiser.lr_scale" not in mine["smoke"].overrides
    assert mine["paper"] == MVT.budgets["paper"]


def test_a_network_with_cheaper_steps_trains_looks_and_prunes_later_in_scaled_budgets():
    mine = budgets({"scaled": {"step_factor": 3}, "laptop": {"overrides": {"loop.look_every": 50}}})
    once, longer = MVT.budgets["smoke"], mine["smoke"]
    steps = [
        (budget.overrides["loop.n_steps"], budget.overrides["loop.look_every"], budget.pruning.warm_up)
        for budget in (once, longer)
    ]
    assert steps[1] == tuple(3 * number for number in steps[0])
    assert longer.pruning.model_copy(update={"warm_up": 0}) == once.pruning.model_copy(update={"warm_up": 0})
    assert mine["laptop"].overrides["loop.look_every"] == 50, "what a space spells out is not multiplied"
    assert mine["paper"] == MVT.budgets["paper"]


@pytest.mark.parametrize("factor", [0, 1.5, "3", True])
def test_a_step_factor_is_a_count(factor):
    with pytest.raises(ConfigurationError, match=r"budgets.scaled.step_factor must be a whole number of at least 1"):
        budgets({"scaled": {"step_factor": factor}})


RATE = {"type": "float", "low": 1e-5, "high": 1e-4, "log": True}


def test_a_budget_replaces_single_domains_of_the_space_in_its_own_sweeps_only():
    values = MVT.model_dump(mode="json") | {
        "budgets": {"scaled": "mvt", "smoke": {"domains": {"optimiser.lr_g": RATE}}}
    }
    space = parse_space(yaml.safe_dump(values), "mine.yaml")
    smoke, laptop = (tiny_sweep(space, budget).domains for budget in ("smoke", "laptop"))
    assert smoke["optimiser.lr_g"].ends == [1e-5, 1e-4] != laptop["optimiser.lr_g"].ends
    others = [path for path in MVT.domains if path != "optimiser.lr_g"]
    assert [smoke[path] for path in others] == [laptop[path] for path in others]
    model = [path for path in MVT.domains if path.startswith("model.")]
    assert [smoke[path] for path in model] == [MVT.domains[path] for path in model]
    assert list(smoke) == list(space.domains), "a domain stays behind those it depends on"


def test_a_network_brings_domains_only_for_what_the_space_searches():
    network = {"overrides": {}, "domains": {"optimiser.lr_g": RATE}}
    assert budgets({"scaled": network})["smoke"].domains["optimiser.lr_g"].ends == [1e-5, 1e-4]
    shared = with_shared_budgets({"scaled": "mvt"}, ())
    assert not shared["smoke"].get("domains")


def test_a_budget_spelled_out_whole_takes_nothing_from_the_shared_ones():
    whole = {"purpose": "mine", "n_trials": 2, "overrides": {"loop.n_steps": 9}}
    assert budgets({"laptop": whole}) == {"laptop": Budget(**whole)}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"scaled": "mvtt"}, "budgets.scaled: budgets.yaml has no network 'mvtt'; did you mean 'mvt'?"),
        ({"scaled": "mvt", "smok": {"n_trials": 3, "purpose": ""}}, "budgets: 'smok' is not a budget; did you mean 'smoke'?"),
        ({"scaled": "mvt", "smoke": {"trials": 3}}, "unknown key 'trials' under budgets.smoke; did you mean 'n_trials'?"),
        ({"scaled": "mvt", "smoke": {"domains": {"optimiser.lr_gg": RATE}}},
         "budgets.smoke.domains: 'optimiser.lr_gg' is not a domain; did you mean 'optimiser.lr_g'?"),
        ({"scaled": "mvt", "smoke": {"domains": {"optimiser.lr_g": {**RATE, "high": 2e-5}}}},
         "budgets.smoke: paper_points: optimiser.lr_g must be in its domain [1e-05, 2e-05], got 5e-05."),
        ({"scaled": "mvt", "smoke": {"domains": {"model.n_clip": {"type": "choice", "choices": [1, 2]}}}},
         "budgets.smoke.domains: model.n_clip must have the same `when` as in domains, "
         "{'model.constraint_d_video': 'svc'}."),
        ({"scaled": "mvt", "smoke": 3}, "budgets.smoke: Input should be a valid dictionary or instance of Budget, got 3."),
    ],
)  # fmt: skip
def test_a_mistake_in_the_budgets_is_named(written: Any, message: str):
    with pytest.raises(ConfigurationError) as caught:
        budgets(written)
    assert str(caught.value) == f"mine.yaml: {message}"

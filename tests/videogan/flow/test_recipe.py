"""Recipes of a flow fit: the paper's numbers, and rates that rise and fall as configured."""

import math

import pytest

from videogan.config import ConfigurationError, parse_config
from videogan.flow.recipe import RECIPES, FlowRecipe

SHORT = FlowRecipe(n_steps=6, lr=1e-3)


def rates(recipe: FlowRecipe) -> list[float]:
    return [recipe.lr_at(step) for step in range(1, recipe.n_steps + 1)]


def test_the_defaults_are_the_papers():
    recipe = FlowRecipe()
    assert (recipe.n_steps, recipe.batch_size, recipe.lr, recipe.weight_decay) == (1_200_000, 8, 1e-4, 4e-4)
    assert (recipe.width, recipe.schedule, recipe.warm_up, recipe.clip_norm) == (1, "halved", 0, None)
    assert RECIPES["paper"] == recipe


def test_the_papers_rate_is_halved_four_times():
    assert rates(SHORT) == [1e-3, 1e-3, 5e-4, 2.5e-4, 1.25e-4, 6.25e-5]


def test_a_warm_up_rises_linearly_and_a_cosine_then_falls_but_never_to_0():
    found = rates(FlowRecipe(n_steps=10, lr=1.0, warm_up=4, schedule="cosine"))
    assert found[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert found[4:] == sorted(found[4:], reverse=True)
    assert found[7] == pytest.approx(0.5)  # the middle of its way
    assert found[-1] == pytest.approx((1 + math.cos(math.pi * 5 / 6)) / 2)
    assert found[-1] > 0


def test_a_recipe_that_only_warms_up_is_refused():
    with pytest.raises(ConfigurationError, match="warm_up must be below n_steps = 6, got 6; lower it"):
        parse_config(FlowRecipe, {"n_steps": 6, "warm_up": 6})

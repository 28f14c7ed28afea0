"""Every setting of a family has an effect: on its networks, its draws, its losses or its constraint."""

import functools
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from tests.contracts.tiny_families import CASES as VARIANTS
from tests.contracts.tiny_families import tiny_config
from videogan.families import FAMILIES
from videogan.families.contract import FamilyConfig, Settings

OF_THE_DATA = {"family", "n_classes"}
"""Settings that the data set or the family fixes; `n_classes` has its own test."""


def settings_of(family: str) -> list[str]:
    """The settings of a family that have more than one value and are not left to its own tests."""
    fields = FAMILIES[family].config_type.model_fields
    several = [name for name, field in fields.items() if len(get_args(field.annotation)) != 1]
    return [name for name in several if name not in OF_THE_DATA | FAMILIES[family].facts.tried_elsewhere]


CASES = [pytest.param(family, name, id=f"{family}-{name}") for family in FAMILIES for name in settings_of(family)]


def another_value(family: str, name: str) -> tuple[Any, Settings]:
    """A value that a setting does not have in the tiny configuration, and the settings under which to try it."""
    kind = FAMILIES[family]
    if name in kind.facts.other_values:
        return kind.facts.other_values[name]
    value, choices = getattr(tiny_config(family), name), get_args(kind.config_type.model_fields[name].annotation)
    if choices:
        return next(choice for choice in choices if choice != value), {}
    if isinstance(value, bool):
        return not value, {}
    return (value + 1 if isinstance(value, int) else value * 2 or 0.5), {}


@functools.cache
@torch.no_grad()
def behaviour(config: FamilyConfig) -> list[Tensor]:
    """Initial weights, draws, videos, losses, and norms of doubled weights after the constraints of six steps."""
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(0)
    networks = FAMILIES[config.family].build(config)
    labels = torch.tensor([2, 0])
    real = torch.rand(2, config.n_frames, config.colours, config.resolution, config.resolution, generator=rng) * 2 - 1
    draws = networks.draw(2, rng, torch.tensor([8.0, 1.0, 1.0]), labels)
    weights = [p for d in networks.discriminators.values() for p in d.parameters()]
    seen = [weight.clone() for weight in (*networks.generator.parameters(), *weights)]
    fakes = networks.generate(networks.generator, draws)
    losses = networks.discriminator_losses(networks.discriminators, real, labels, fakes, draws)
    of_generator = networks.generator_losses(networks.discriminators, fakes, draws)
    seen += [*draws.values(), fakes.videos, *losses.values(), *of_generator.values()]
    seen += networks.motion_loss(real, labels, fakes, draws, 1) or ()
    for step in range(1, 7):
        for weight in weights:
            weight *= 2
        networks.constrain_update_()
        networks.constrain_(step)
        seen += [weight.norm() for weight in weights]
    return seen


def differ(one: list[Tensor], other: list[Tensor]) -> bool:
    return [x.shape for x in one] != [x.shape for x in other] or not all(map(torch.equal, one, other))


@pytest.mark.parametrize(("family", "name"), CASES)
def test_every_setting_changes_what_a_family_does(family: str, name: str):
    value, under = another_value(family, name)
    before, after = tiny_config(family, under), tiny_config(family, {**under, name: value})
    assert getattr(before, name) != getattr(after, name)
    assert differ(behaviour(before), behaviour(after))


@pytest.mark.parametrize("family", FAMILIES)
def test_facts_name_only_existing_settings(family: str):
    named = {*FAMILIES[family].facts.other_values, *FAMILIES[family].facts.tried_elsewhere}
    assert named <= set(FAMILIES[family].config_type.model_fields)


@pytest.mark.parametrize(("family", "settings"), VARIANTS)
def test_an_unchanged_configuration_behaves_identically(family: str, settings: Settings):
    config = tiny_config(family, settings)
    assert not differ(behaviour(config), behaviour.__wrapped__(config))


@pytest.mark.parametrize(("family", "settings"), VARIANTS)
def test_the_number_of_classes_matters_if_a_gan_is_conditional_and_only_then(family: str, settings: Settings):
    config, more = tiny_config(family, settings), tiny_config(family, {**settings, "n_classes": 5})
    assert differ(behaviour(config), behaviour(more)) == config.is_conditional

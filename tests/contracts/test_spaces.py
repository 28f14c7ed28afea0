"""Every domain of every shipped search space names a real setting, changes the run, and builds at both ends.

A space of another program has no networks here: its domains must change its command.
"""

import functools
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.builders import NoiseClips, tiny_sweep
from vgsearch.program.command import OF_THE_TRIAL
from vgsearch.program.run import argument_list
from vgsearch.space.budgets import BUDGETS
from vgsearch.space.domains import Domain, is_active
from vgsearch.space.space import Space, installed_spaces, load_space
from videogan.config import Config
from videogan.families import FAMILIES
from videogan.training.loop import train
from videogan.training.run_config import RunConfig

TINY_LOOP = {"loop.batch_size": 2, "loop.n_steps": 2, "loop.n_d": 1}
"""A run that takes a fraction of a second; two steps, because Adam's first step is the same whatever its beta1."""
ALL = {name: load_space(name) for name in installed_spaces()}
SPACES = {name: space for name, space in ALL.items() if not space.is_of_program}
PROGRAMS = [name for name, space in ALL.items() if space.is_of_program]
DOMAINS = [pytest.param(SPACES[name], path, id=f"{name}-{path}") for name in SPACES for path in SPACES[name].domains]


def variations(space: Space, path: str) -> list[dict[str, Any]]:
    """The paper's point with each end of one domain, under that domain's own condition."""
    domain: Domain = space.domains[path]
    chosen = [{**space.paper_points[0], **domain.when, path: end} for end in domain.ends]
    waiting = {other: found for other, found in space.domains.items() if path in found.when}
    points = [
        {**point, **{other: found.ends[0] for other, found in waiting.items() if found.when[path] == point[path]}}
        for point in chosen
    ]
    return [{name: v for name, v in point.items() if is_active(space.domains[name], point)} for point in points]


def tiny_configs(space: Space, path: str) -> list[RunConfig]:
    facts = FAMILIES[space.base["model"]["family"]].facts
    tiny = {**{f"model.{name}": value for name, value in facts.tiny.items()}, **TINY_LOOP}
    free = {path: value for path, value in tiny.items() if path not in space.domains}
    sweep = tiny_sweep(space, "smoke", overrides=free)
    return [sweep.run_config(point, 0) for point in variations(space, path)]


def field(config: RunConfig, path: str) -> Any:
    return functools.reduce(getattr, path.split("."), config)


@functools.cache
def behaviour(config: RunConfig) -> list[Tensor]:
    """Draws, clips and losses of the networks, and the norms of their growing weights under the constraint."""
    torch.manual_seed(0)
    networks = FAMILIES[config.model.family].build(config.model)
    clips = NoiseClips.of(config)
    frames, labels = clips.batch(0)
    real = frames.movedim(-1, 2) / 127.5 - 1
    draws = networks.draw(len(labels), torch.Generator().manual_seed(0), clips.label_counts, labels)
    seen = list(draws.values())
    with torch.no_grad():
        fakes = networks.generate(networks.generator, draws)
        losses = networks.discriminator_losses(networks.discriminators, real, labels, fakes, draws)
        of_generator = networks.generator_losses(networks.discriminators, fakes, draws)
        motion = networks.motion_loss(real, labels, fakes, draws, 1)
        seen += [fakes.videos, *losses.values(), *of_generator.values(), *(motion or ())]
        weights = [p for network in networks.discriminators.values() for p in network.parameters()]
        for step in range(1, 13):
            for weight in weights:
                weight *= 2
            networks.constrain_update_()
            networks.constrain_(step)
            seen.append(torch.stack([weight.norm() for weight in weights]))
    return seen


@functools.cache
def trained(config: RunConfig) -> list[Tensor]:
    """Every weight after the training run."""
    *_, progress = train(config, NoiseClips.of(config))
    networks = (progress.training.generator, *progress.training.discriminators.values())
    return [weight.detach() for network in networks for weight in network.parameters()]


def differ(one: list[Tensor], other: list[Tensor]) -> bool:
    if [tensor.shape for tensor in one] != [tensor.shape for tensor in other]:
        return True
    return any(not torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_every_family_has_a_search_space():
    searched = {space.base["model"]["family"] for space in SPACES.values()}
    assert searched == set(FAMILIES)


@pytest.mark.parametrize("name", ALL)
def test_a_space_has_the_name_of_its_file_and_all_budgets(name: str):
    assert ALL[name].name == name
    assert set(ALL[name].budgets) == set(BUDGETS)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("budget", BUDGETS)
def test_both_ends_of_a_programs_domains_change_its_command(name: str, budget: str):
    space = ALL[name]
    sweep = tiny_sweep(space, budget)
    sweep.refuse_impossible_domains()
    of_the_trial = dict.fromkeys(OF_THE_TRIAL, "")
    for path in space.domains:
        low, high = (argument_list(sweep.program_run(point), of_the_trial) for point in variations(space, path))
        assert low != high


@pytest.mark.parametrize(("space", "path"), DOMAINS)
def test_a_domain_names_a_field_and_sets_it_to_each_of_its_values(space: Space, path: str):
    sweep = tiny_sweep(space, "smoke")
    for point in variations(space, path):
        config = sweep.run_config(point, 0)
        assert field(config, path) == point[path]


@pytest.mark.parametrize(("space", "path"), [case for case in DOMAINS if case.values[1].startswith("model.")])
def test_a_domain_of_the_model_changes_its_networks_behaviour(space: Space, path: str):
    seen = [behaviour(config) for config in tiny_configs(space, path)]
    assert all(differ(one, other) for one, other in itertools.combinations(seen, 2))


@pytest.mark.parametrize(("space", "path"), [case for case in DOMAINS if not case.values[1].startswith("model.")])
def test_any_other_domain_changes_the_run(space: Space, path: str):
    seen = [trained(config) for config in tiny_configs(space, path)]
    assert all(differ(one, other) for one, other in itertools.combinations(seen, 2))


@pytest.mark.parametrize("name", SPACES)
def test_a_repeated_run_is_identical(name: str):
    own = [path for path in SPACES[name].domains if not path.startswith("model.")]
    config = tiny_configs(SPACES[name], next(iter(own or SPACES[name].domains)))[0]
    for seen in (trained, behaviour):
        assert not differ(seen(config), seen.__wrapped__(config))


def corners(space: Space) -> list[dict[str, Any]]:
    """A few points whose values are all ends; each end of each domain is active in at least one of them."""
    found: list[dict[str, Any]] = []
    for path, domain in space.domains.items():
        for end in domain.ends:
            if not any(path in point and point[path] == end for point in found):
                turn = {other: d.ends[len(found) % len(d.ends)] for other, d in space.domains.items()}
                point = {**turn, **domain.when, path: end}
                found.append({other: point[other] for other in point if is_active(space.domains[other], point)})
    return found


@functools.cache
def builds(model: Config) -> bool:
    """Whether a model's networks build; the meta device allocates no weights."""
    with torch.device("meta"):
        networks = FAMILIES[model.family].build(model)
    return all(weight.is_meta for weight in networks.generator.parameters())


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("budget", BUDGETS)
def test_both_ends_of_every_domain_build_at_every_budget(name: str, budget: str):
    space = SPACES[name]
    sweep = tiny_sweep(space, budget)
    sweep.refuse_impossible_domains()
    for path, domain in space.domains.items():
        assert not [end for end in domain.ends if end not in [point.get(path) for point in corners(space)]]
    assert all(builds(sweep.run_config(point, 0).model) for point in corners(space))


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("budget", BUDGETS)
def test_the_papers_point_equals_the_defaults_of_the_family_and_the_optimiser(name: str, budget: str):
    space = SPACES[name]
    sweep = tiny_sweep(space, budget)
    assert sweep.run_config(space.paper_points[0], 0) == sweep.run_config({}, 0)


@pytest.mark.parametrize("name", SPACES)
def test_the_papers_budget_keeps_the_papers_network_and_batch(name: str):
    config = tiny_sweep(SPACES[name], "paper").run_config(SPACES[name].paper_points[0], 0)
    expected = FAMILIES[config.model.family].facts.published_run
    assert {path: field(config, path) for path in expected} == expected
    assert config.evaluation.protocol == "s3_r3d18_v2"


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("budget", BUDGETS)
def test_a_trial_looks_at_least_twice_after_the_warm_up_and_at_its_end(name: str, budget: str):
    space = SPACES[name]
    loop = tiny_sweep(space, budget).run_config(space.paper_points[0], 0).loop
    looks = range(loop.look_every, loop.n_steps + 1, loop.look_every)
    warm_up = space.budgets[budget].pruning.warm_up
    assert looks[-1] == loop.n_steps
    assert sum(warm_up <= step < loop.n_steps for step in looks) >= 2


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("budget", BUDGETS)
def test_a_sweep_has_more_trials_than_its_random_start(name: str, budget: str):
    limits = ALL[name].budgets[budget]
    if limits.sampler == "grid":
        assert limits.n_trials == len(SPACES[name].paper_points), "a grid starts with no random trial"
        return
    first = limits.pbt.size if limits.sampler == "pbt" else limits.n_startup_trials
    assert first < limits.n_trials
    assert limits.pruning.n_startup_trials < limits.n_trials

"""Reading a search space names every problem in it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from vgsearch.space.domains import ChoiceDomain, FloatDomain, IntDomain, is_active
from vgsearch.space.space import (
    Space,
    installed_spaces,
    load_space,
    parse_override,
    parse_overrides,
    parse_space,
    yaml_of,
)
from videogan.config import ConfigurationError

RATE, CONSTRAINT, N_CLIP = "optimiser.lr_g", "model.constraint", "model.n_clip"
GOOD: dict[str, Any] = {
    "name": "tiny",
    "title": "Tiny",
    "paper": "none",
    "base": {"model": {"family": "mvt", "channels": 96}, "loop": {"n_steps": 9}},
    "domains": {
        RATE: {"type": "float", "low": 1e-5, "high": 1e-3, "log": True},
        CONSTRAINT: {"type": "choice", "choices": ["spectral_norm", "svc"]},
        N_CLIP: {"type": "int", "low": 1, "high": 3, "when": {CONSTRAINT: "svc"}},
    },
    "paper_points": [{RATE: 1e-4, CONSTRAINT: "spectral_norm"}],
    "budgets": {"smoke": {"purpose": "fast", "n_trials": 2, "overrides": {"model.channels": 8, "loop.n_steps": 3}}},
}


def parsed(**changes: Any) -> Space:
    return parse_space(yaml.safe_dump({**GOOD, **changes}, sort_keys=False), "tiny.yaml")


def problems(**changes: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parsed(**changes)
    return str(caught.value).split("\n")


def with_domain(path: str, **domain: Any) -> dict[str, Any]:
    return {**GOOD["domains"], path: domain}


def test_a_space_keeps_its_domains_in_their_order_and_their_types():
    space = parsed()
    assert list(space.domains) == [RATE, CONSTRAINT, N_CLIP]
    assert [type(domain) for domain in space.domains.values()] == [FloatDomain, ChoiceDomain, IntDomain]


def test_a_spaces_name_is_that_of_a_folder():
    assert problems(name="../x")[0].startswith("tiny.yaml: name must be the name of one folder")
    assert parsed(name="a[b]").name == "a[b]"


def test_the_budget_overrides_the_base_and_the_proposal_overrides_the_budget():
    space = parsed()
    assert space.run_values("smoke", {"model.channels": 4, RATE: 1e-4}) == {
        "model": {"family": "mvt", "channels": 4},
        "loop": {"n_steps": 3},
        "optimiser": {"lr_g": 1e-4},
    }
    assert space.base == GOOD["base"]


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (FloatDomain(type="float", low=0.5, high=2), [0.5, 1, 2.0], [0.49, 2.01, "1", float("nan")]),
        (FloatDomain(type="float", low=0.5, high=2, or_off=0.0), [0, 0.5, 2.0], [0.1, 2.01]),
        (IntDomain(type="int", low=1, high=3), [1, 2, 3], [0, 4, 1.5, "1"]),
        (ChoiceDomain(type="choice", choices=[2, 4, "svc"]), [2, 4, "svc"], [3, "4", "spectral_norm"]),
    ],
)
def test_a_domain_contains_both_its_ends_and_nothing_beyond(domain: Any, inside: list, outside: list):
    assert all(value in domain for value in [*inside, *domain.ends])
    assert not [value for value in outside if value in domain]


def test_a_conditional_domain_is_active_only_under_its_condition():
    domain = parsed().domains[N_CLIP]
    assert is_active(domain, {CONSTRAINT: "svc"})
    assert not is_active(domain, {CONSTRAINT: "spectral_norm"})
    assert not is_active(domain, {})


def test_the_papers_point_has_a_value_inside_each_domain_and_no_other():
    point = {"optimiser.lr_gen": 1e-4, CONSTRAINT: "svc", N_CLIP: 4}
    assert problems(paper_points=[point]) == [
        "tiny.yaml: paper_points: 'optimiser.lr_gen' is not a domain; did you mean 'optimiser.lr_g'?",
        "tiny.yaml: paper_points: optimiser.lr_g has no value.",
        "tiny.yaml: paper_points: model.n_clip must be in its domain [1, 3], got 4.",
    ]


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        ({"type": "float", "low": 2.0, "high": 1.0}, "low must be below high, got 2.0 and 1.0."),
        ({"type": "int", "low": 2, "high": 2}, "low must be below high, got 2 and 2."),
        ({"type": "float", "low": 0.0, "high": 1.0, "or_off": 0.5}, "or_off must be outside [0.0, 1.0], got 0.5."),
        ({"type": "float", "low": 0.0, "high": 1.0, "log": True}, "low must be above 0 on a log scale, got 0.0."),
    ],
)
def test_an_impossible_interval_is_refused_by_the_name_of_its_domain(domain: dict, message: str):
    assert problems(domains=with_domain("loop.n_d", **domain)) == [f"tiny.yaml: domains.loop.n_d: {message}"]


def test_an_infinite_interval_is_refused():
    (message,) = problems(domains=with_domain("loop.n_d", type="float", low=0.0, high=float("inf")))
    assert message.startswith("tiny.yaml: domains.loop.n_d.high: Input should be a finite number")


def test_an_integer_domain_refuses_fractions_and_a_choice_needs_two_values():
    (fraction,) = problems(domains=with_domain("loop.n_d", type="int", low=1.5, high=3))
    assert fraction.startswith("tiny.yaml: domains.loop.n_d.low: ")
    (single,) = problems(domains=with_domain("loop.n_d", type="choice", choices=[1]))
    assert single.startswith("tiny.yaml: domains.loop.n_d.choices: ")


def test_a_condition_must_name_a_domain_listed_above_and_a_value_in_it():
    waiting = {"type": "int", "low": 1, "high": 3}
    assert problems(domains=with_domain("loop.n_d", **waiting, when={"loop.x": 1})) == [
        "tiny.yaml: domains: loop.n_d depends on loop.x, which is not a domain; it must be one of "
        "model.constraint, model.n_clip, optimiser.lr_g."
    ]
    assert problems(domains={"loop.n_d": {**waiting, "when": {CONSTRAINT: "svc"}}, **GOOD["domains"]}) == [
        f"tiny.yaml: domains: loop.n_d depends on {CONSTRAINT}, which must be a domain listed above it."
    ]
    assert problems(domains=with_domain("loop.n_d", **waiting, when={CONSTRAINT: "scv"})) == [
        f"tiny.yaml: domains: loop.n_d depends on {CONSTRAINT} = 'scv', "
        "which is not in that domain, ['spectral_norm', 'svc']."
    ]


def test_a_condition_on_a_misspelt_domain_gets_a_suggestion():
    waiting = {"type": "int", "low": 1, "high": 3, "when": {"model.constrain": "svc"}}
    assert problems(domains=with_domain("loop.n_d", **waiting)) == [
        "tiny.yaml: domains: loop.n_d depends on model.constrain, which is not a domain; did you mean 'model.constraint'?"
    ]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ([4, 4, 8], "each choice must occur once, got 4 again"),
        ([1, True], "each choice must occur once, got True again"),
        ([2, 4, True], "true and false are no numbers, got [2, 4, True]"),
    ],
)
def test_choices_differ_and_numbers_are_not_mixed_with_booleans(choices: list, message: str):
    (problem,) = problems(domains=with_domain("loop.n_d", type="choice", choices=choices))
    assert problem.startswith(f"tiny.yaml: domains.loop.n_d.choices: {message}")
    assert True not in IntDomain(type="int", low=0, high=3)
    assert True not in FloatDomain(type="float", low=0, high=3)


def test_an_int_with_a_step_is_refused_with_the_choice_that_serves():
    (problem,) = problems(domains=with_domain("loop.n_d", type="int", low=2, high=8, step=2))
    assert problem.startswith("tiny.yaml: domains.loop.n_d: an int has no step: ")
    assert "{type: choice, choices: [2, 4, 8]}" in problem


def test_keys_that_only_carry_anchors_are_left_out():
    text = yaml.safe_dump(GOOD, sort_keys=False)
    rate = yaml.safe_dump({RATE: GOOD["domains"][RATE]}, default_flow_style=True).strip()[1:-1]
    anchored = text.replace(
        f"  {RATE}:\n    type: float\n    low: 1.0e-05\n    high: 0.001\n    log: true\n", f"  {RATE}: *rate\n"
    )
    assert anchored != text
    assert parse_space(f"x-rate: &rate {rate.partition(': ')[2]}\n{anchored}", "tiny.yaml") == parsed()


@pytest.mark.parametrize("path", ["evaluation.objective", "evaluation.protocol", "evaluation"])
def test_evaluation_settings_cannot_be_searched(path: str):
    point = {**GOOD["paper_points"][0], path: "s3"}
    domains = with_domain(path, type="choice", choices=["s3", "-kvd"])
    assert problems(domains=domains, paper_points=[point]) == [
        f"tiny.yaml: domains: {path} can't be searched: scores are comparable only under one evaluation. "
        "Set it in base, or with --set."
    ]


@pytest.mark.parametrize(
    "path", ["data.every_nth", "data.preprocessing", "data.short_clips", "data", "model.resolution"]
)
def test_settings_that_change_the_real_clips_cannot_be_searched(path: str):
    point = {**GOOD["paper_points"][0], path: 1}
    domains = with_domain(path, type="choice", choices=[1, 2])
    assert problems(domains=domains, paper_points=[point]) == [
        f"tiny.yaml: domains: {path} can't be searched: scores are comparable only on the same real clips, of one size and frame "
        "rate. Set it in base, or with --set."
    ]
    assert parsed(domains=with_domain("data.sampling", type="choice", choices=["shuffled", "class_balanced"]),
                  paper_points=[{**GOOD["paper_points"][0], "data.sampling": "shuffled"}])  # fmt: skip


def test_an_unknown_key_is_reported_with_the_nearest_known_one():
    assert problems(titel="Tiny") == ["tiny.yaml: unknown key 'titel'; did you mean 'title'?"]
    assert problems(domains=with_domain("loop.n_d", type="int", low=1, high=3, logg=True)) == [
        "tiny.yaml: unknown key 'logg' under domains.loop.n_d; did you mean 'log'?"
    ]
    (budget,) = problems(budgets={"smoky": GOOD["budgets"]["smoke"]})
    assert budget == "tiny.yaml: budgets: 'smoky' is not a budget; did you mean 'smoke'?"


def test_data_sets_are_layouts_of_imports_and_their_values_lie_in_the_domains():
    assert problems(data_sets={"ucf": {}})[0].startswith(
        "tiny.yaml: data_sets: no import has the layout 'ucf'; did you mean 'ucf101'"
    )
    assert problems(data_sets={"ucf101": {RATE: 9.0}})[0].startswith(
        f"tiny.yaml: data_sets.ucf101: {RATE} must be in its domain"
    )


def test_point_names_are_as_many_as_the_points_and_all_different():
    point = GOOD["paper_points"][0]
    two = {"paper_points": [point, {**point, RATE: 2e-4}]}
    assert parsed(**two, point_names=["a", "b"]).at_point("b").paper_points == [{**point, RATE: 2e-4}]
    for names in (["a"], ["a", "a"], ["a", "b", "c"]):
        assert problems(**two, point_names=names) == [
            f"tiny.yaml: point_names: each of the 2 paper_points needs a different name, got {names}."
        ]


@pytest.mark.parametrize(
    "text",
    [
        "a: [1",
        "- just\n- a list\n",
        "",
        "budgets: [1]",
        "budgets: {scaled: {overrides: [1]}}",
        "domains: 3\nbudgets: {scaled: mvt}",
        "!!python/object/apply:os.system [echo]",
    ],
)
def test_a_file_that_is_not_a_yaml_mapping_is_refused_by_its_name(text: str):
    with pytest.raises(ConfigurationError, match=r"^tiny\.yaml: "):
        parse_space(text, "tiny.yaml")


def test_an_unknown_space_is_refused_with_a_list_of_the_shipped_ones():
    with pytest.raises(ConfigurationError) as caught:
        load_space("mvt_tas")
    assert "'mvt_tas'" in str(caught.value)
    assert all(name in str(caught.value) for name in installed_spaces())


def test_a_users_own_space_loads_by_path(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(GOOD))
    assert load_space(str(path)) == parsed()


@pytest.mark.parametrize(
    ("text", "override"),
    [
        ("model.sigma_a=0.3", ("model.sigma_a", 0.3)),
        ("model.variant=mvt", ("model.variant", "mvt")),
        ("data.preprocessing=null", ("data.preprocessing", None)),
        ("loop.channels_last=false", ("loop.channels_last", False)),
        ("model.name=a=b", ("model.name", "a=b")),
        ("evaluation.objective=-kvd", ("evaluation.objective", "-kvd")),
        ("evaluation.objective=[s3,-cost]", ("evaluation.objective", ["s3", "-cost"])),
    ],
)
def test_an_override_is_a_path_and_a_yaml_value(text: str, override: tuple[str, Any]):
    assert parse_override(text) == override


def test_sections_and_single_settings_of_set_add_up_and_the_last_counts():
    texts = ["loop.n_steps=7", "loop={n_steps: 5, batch_size: 8}", "loop.batch_size=4", "model={family: mvt}"]
    assert parse_overrides(texts) == {"loop.n_steps": 5, "loop.batch_size": 4, "model.family": "mvt"}


def test_a_section_in_a_budgets_overrides_changes_only_what_it_names():
    nested = {"smoke": {**GOOD["budgets"]["smoke"], "overrides": {"loop": {"n_steps": 3}, "model": {"channels": 8}}}}
    assert parsed(budgets=nested) == parsed()
    assert parsed(budgets=nested).run_values("smoke", {})["model"] == {"family": "mvt", "channels": 8}


@pytest.mark.parametrize("text", ["model.sigma_a", "=3", "model.sigma_a=[1"])
def test_a_malformed_override_is_refused_as_it_was_typed(text: str):
    with pytest.raises(ConfigurationError) as caught:
        parse_override(text)
    assert f"--set {text}:" in str(caught.value)


ORDERED = {
    "domains": {name: {"type": "float", "low": 0.5, "high": 2.0} for name in ("model.sigma_a", "model.sigma_b")},
    "paper_points": [{"model.sigma_a": 0.5, "model.sigma_b": 1.0}],
    "constraints": ["model.sigma_a <= model.sigma_b"],
}


def test_a_constraint_is_an_inequality_between_two_domains():
    (inequality,) = parsed(**ORDERED).inequalities
    assert inequality.paths == ("model.sigma_a", "model.sigma_b")
    assert inequality.holds({"model.sigma_a": 1.0, "model.sigma_b": 1.0})
    assert not inequality.holds({"model.sigma_a": 1.1, "model.sigma_b": 1.0})
    assert inequality.holds({"model.sigma_a": 1.1}), "holds if one domain has no value"


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        ("model.sigma_a < model.sigma_b", "'model.sigma_a < model.sigma_b' is not an inequality between two domains"),
        ("model.sigma_a <= 2", "constraints: '2' is not a domain"),
        ("model.sigma_a <= model.sigma_a", "is not an inequality between two domains"),
        ("model.sigma_a <= model.sigma_B", "'model.sigma_B' is not a domain; did you mean 'model.sigma_b'?"),
        ("__import__('os').system('ls') <= model.sigma_a", "is not an inequality between two domains"),
        (
            "model.sigma_b <= model.sigma_a",
            "the paper's point must satisfy model.sigma_b <= model.sigma_a, got 1.0 and 0.5.",
        ),
    ],
)
def test_a_constraint_that_is_malformed_or_that_the_paper_violates_is_refused(constraint: str, message: str):
    (problem,) = problems(**ORDERED | {"constraints": [constraint]})
    assert message in problem


def test_a_constraint_on_values_that_are_not_numbers_is_refused():
    assert problems(constraints=[f"{RATE} <= {CONSTRAINT}"]) == [
        f"tiny.yaml: constraints: {RATE} <= {CONSTRAINT} compares numbers, but {CONSTRAINT} has other values."
    ]


def test_constraints_that_no_point_satisfies_are_refused_when_the_space_is_read():
    apart = ORDERED["domains"] | {"model.sigma_b": {"type": "float", "low": 0.1, "high": 0.5}}
    point = {"model.sigma_a": 0.5, "model.sigma_b": 0.5}
    (message,) = problems(**ORDERED | {"domains": apart, "paper_points": [point]})
    assert (
        "of 1000 random points must satisfy all of them, 0 do; model.sigma_a <= model.sigma_b is violated most often"
        in message
    )


@pytest.mark.parametrize(
    ("pruning", "idle"),
    [
        ({"pruner": "none", "warm_up": 5, "patience": 1}, ["warm_up = 5", "patience = 1"]),
        ({"pruner": "successive_halving", "n_startup_trials": 2}, ["n_startup_trials = 2"]),
    ],
)
def test_a_setting_that_the_pruner_ignores_is_refused(pruning: dict, idle: list[str]):
    message = problems(budgets={"smoke": {**GOOD["budgets"]["smoke"], "pruning": pruning}})
    where = f"tiny.yaml: budgets.smoke.pruning: {{}} has no effect under pruner = {pruning['pruner']}. Remove it."
    assert message == [where.format(setting) for setting in idle]


def test_startup_trials_of_a_random_sampler_are_refused():
    message = problems(budgets={"smoke": {**GOOD["budgets"]["smoke"], "sampler": "random", "n_startup_trials": 4}})
    assert message == [
        "tiny.yaml: budgets.smoke: n_startup_trials = 4 has no effect under sampler = random. Remove it."
    ]


def test_steps_of_a_domain_are_evenly_spaced_and_refused_if_no_budget_has_a_grid():
    stepped = with_domain(RATE, type="float", low=1e-5, high=1e-3, log=True, steps=3)
    assert problems(domains=stepped) == [
        f"tiny.yaml: domains: steps of {RATE} have no effect because no budget has sampler = grid; remove them."
    ]
    on_grid = {"smoke": {**GOOD["budgets"]["smoke"], "sampler": "grid"}}
    assert parsed(domains=stepped, budgets=on_grid).domains[RATE].grid == pytest.approx([1e-5, 1e-4, 1e-3], rel=1e-12)
    assert FloatDomain(type="float", low=0, high=2, or_off=-1, steps=3).grid == [-1, 0, 1, 2]
    assert IntDomain(type="int", low=1, high=3).grid == [1, 2, 3]


@pytest.mark.parametrize("name", installed_spaces())
def test_a_space_printed_as_yaml_is_read_as_the_same_space(name: str):
    space = load_space(name)
    assert parse_space(yaml_of(space), f"{name}.yaml") == space


def extending(**own: Any) -> Space:
    return parse_space(yaml.safe_dump({"name": "mine", "extends": "mvt_tsa", **own}, sort_keys=False), "mine.yaml")


def test_a_space_that_extends_another_of_two_lines_is_that_space_under_its_own_name():
    assert extending() == load_space("mvt_tsa").model_copy(update={"name": "mine"})


def test_what_an_extending_space_names_replaces_the_same_part_only():
    above = load_space("mvt_tsa")
    narrow = {"type": "float", "low": 0.2, "high": 0.6}
    space = extending(
        base={"loop": {"batch_size": 16}},
        domains={"model.sigma_a": narrow, "model.alpha": None},
        budgets={"smoke": {"n_trials": 3, "pruning": None}},
    )
    assert space.base["loop"] == {**above.base["loop"], "batch_size": 16}
    assert space.base["model"] == above.base["model"]
    assert set(above.domains) - set(space.domains) == {"model.alpha"}
    assert (space.domains["model.sigma_a"].low, space.domains["model.sigma_a"].high) == (0.2, 0.6)
    assert space.domains["model.sigma_b"] == above.domains["model.sigma_b"]
    assert space.paper_points == [
        {k: v for k, v in point.items() if k != "model.alpha"} for point in above.paper_points
    ]
    smoke = above.budgets["smoke"]
    changed = smoke.model_copy(update={"n_trials": 3, "pruning": type(smoke.pruning)()})
    assert space.budgets == {**above.budgets, "smoke": changed}


def test_null_removes_only_a_domain_of_the_space_above():
    with pytest.raises(ConfigurationError, match=r"model.sigmaa is null, but is no domain to remove; did you mean"):
        extending(domains={"model.sigmaa": None})


def test_a_space_that_extends_nothing_that_exists_or_itself_is_refused(tmp_path: Path):
    with pytest.raises(
        ConfigurationError, match=r"mine.yaml: extends: no search space 'mvt_tsaa'; did you mean 'mvt_tsa'"
    ):
        extending(extends="mvt_tsaa")
    own = tmp_path / "own.yaml"
    own.write_text(f"name: own\nextends: {own}\n")
    with pytest.raises(ConfigurationError, match="extends leads back to this file"):
        load_space(str(own))

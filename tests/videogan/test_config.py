"""Configurations refuse unknown keys and invalid values, with messages that say what to do."""

from typing import Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from videogan.config import Config, ConfigurationError, flattened, parse_config, suggestion, with_overrides
from videogan.training.run_config import RunConfig


class Round(Config):
    shape: Literal["round"] = "round"
    radius: float = Field(1.0, gt=0)


class Square(Config):
    shape: Literal["square"] = "square"
    side: int = 1

    @model_validator(mode="after")
    def _even(self) -> "Square":
        if self.side % 2 == 0:
            raise ValueError(f"side must be odd, got {self.side}.\nRaise side by one.")
        return self


class Drawing(Config):
    rate: float = Field(gt=0)
    optimiser: Round = Round()
    figure: Round | Square = Field(Round(), discriminator="shape")
    pens: dict[str, Square] = Field({})


def problems(values: dict, config_type: type[Config] = Drawing) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse_config(config_type, values, "drawing.yaml")
    return str(caught.value).split("\n")


def test_a_good_configuration_keeps_its_values_and_cannot_be_changed():
    drawing = parse_config(Drawing, {"rate": 2, "figure": {"shape": "square", "side": 3}})
    assert drawing == Drawing(rate=2.0, figure=Square(side=3))
    with pytest.raises(ValidationError):
        drawing.rate = 3.0


def test_an_unknown_key_is_named_with_its_section_and_the_nearest_known_one():
    assert problems({"rate": 1, "optimiser": {"raduis": 2}}) == [
        "drawing.yaml: unknown key 'raduis' under optimiser; did you mean 'radius'?"
    ]


def test_an_unknown_key_at_the_top_has_no_section():
    assert problems({"rate": 1, "ratee": 1}) == ["drawing.yaml: unknown key 'ratee'; did you mean 'rate'?"]


def test_a_key_with_no_similar_name_lists_all_known_keys():
    assert problems({"rate": 1, "optimiser": {"colour": 2}}) == [
        "drawing.yaml: unknown key 'colour' under optimiser; it must be one of radius, shape."
    ]


def test_a_section_name_omits_the_union_member_and_only_its_own_fields_are_suggested():
    assert problems({"rate": 1, "figure": {"shape": "square", "radius": 2}}) == [
        "drawing.yaml: unknown key 'radius' under figure; it must be one of shape, side."
    ]


def test_all_problems_are_reported_at_once():
    assert problems({"optimiser": {"radius": -1}, "colour": "red"}) == [
        "drawing.yaml: 'rate' is missing.",
        "drawing.yaml: optimiser.radius: Input should be greater than 0, got -1.",
        "drawing.yaml: unknown key 'colour'; it must be one of figure, optimiser, pens, rate.",
    ]


def test_values_inside_a_union_are_named_by_their_path_alone():
    assert problems({"rate": 1, "figure": {"shape": "round", "radius": -1}}) == [
        "drawing.yaml: figure.radius: Input should be greater than 0, got -1."
    ]


def test_each_line_of_a_validators_message_is_reported_with_its_section():
    assert problems({"side": 2}, Square) == [
        "drawing.yaml: side must be odd, got 2.",
        "drawing.yaml: Raise side by one.",
    ]
    assert problems({"rate": 1, "pens": {"red": {"side": 2}}}) == [
        "drawing.yaml: pens.red: side must be odd, got 2.",
        "drawing.yaml: pens.red: Raise side by one.",
    ]


def test_overrides_work_at_every_depth_and_do_not_change_the_original():
    original = {"model": {"sigma": {"a": 1, "b": 2}}, "seed": 0}
    changed = with_overrides(original, {"model.sigma.a": 5, "seed": 7, "loop.n_steps": 3})
    assert changed == {"model": {"sigma": {"a": 5, "b": 2}}, "seed": 7, "loop": {"n_steps": 3}}
    assert original == {"model": {"sigma": {"a": 1, "b": 2}}, "seed": 0}
    changed["model"]["sigma"]["b"] = 9
    assert original["model"]["sigma"]["b"] == 2


def test_a_mapping_changes_the_settings_of_a_section_that_it_names_and_leaves_the_others():
    base = {"loop": {"batch_size": 4, "look_every": 1}, "model": {"sigma": {"a": 1, "b": 2}}}
    changed = with_overrides(base, {"loop": {"n_steps": 5}, "model": {"sigma": {"a": 3}}})
    assert changed == {
        "loop": {"batch_size": 4, "look_every": 1, "n_steps": 5}, "model": {"sigma": {"a": 3, "b": 2}}
    }  # fmt: skip
    assert changed == with_overrides(base, flattened({"loop": {"n_steps": 5}, "model": {"sigma": {"a": 3}}}))
    assert flattened({"a": {"b": {"c": 1}, "d": {}}, "e": [2]}) == {"a.b.c": 1, "a.d": {}, "e": [2]}


@pytest.mark.parametrize("given", [True, "1e-1", "010", float("inf"), float("nan")])
def test_a_number_is_finite_and_neither_text_nor_a_boolean(given: object):
    (problem,) = problems({"rate": 1, "optimiser": {"radius": given}})
    assert problem.startswith("drawing.yaml: optimiser.radius: ")
    (problem,) = problems({"rate": given})
    assert problem.startswith("drawing.yaml: rate: ")
    assert problem.endswith(f"got {given!r}.")


def test_numbers_may_be_written_as_others_of_the_same_value():
    assert parse_config(Square, {"side": 3.0}).side == 3
    (problem,) = problems({"side": 3.5}, Square)
    assert problem.startswith("drawing.yaml: side: ")


def test_a_later_override_wins_over_an_earlier_one():
    assert with_overrides({}, {"model": {"a": 1}, "model.a": 2}) == {"model": {"a": 2}}


def test_an_override_below_a_plain_value_is_refused():
    with pytest.raises(ConfigurationError, match=r"seed\.x: 'seed' is the value 0, not a section"):
        with_overrides({"seed": 0}, {"seed.x": 1})


def test_suggestions_are_made_for_close_words_only():
    assert suggestion("mvt_tas", ["mvt", "mvt_tsa"]) == "; did you mean 'mvt_tsa'?"
    assert suggestion("zzz", ["b", "a"]) == "; it must be one of a, b."


def test_a_setting_without_its_section_is_suggested_by_its_path():
    with pytest.raises(ConfigurationError, match=r"--set: unknown key 'sigma_a'; did you mean 'model.sigma_a'\?"):
        parse_config(RunConfig, {"model": {"family": "mvt", "n_classes": 2}, "sigma_a": 1}, "--set")

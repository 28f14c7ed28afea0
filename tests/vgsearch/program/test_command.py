"""The command line of another program: placeholders, one argument each, and what a space may not say."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.builders import tiny_sweep
from vgsearch.experiment.ledger import SweepRecord, TrialRecord
from vgsearch.program.command import OF_THE_TRIAL, SECTIONS
from vgsearch.program.run import ProgramRun, argument_list, environment
from vgsearch.runtime.sweep.resuming import at_half_the_batch, is_over, left_to_do
from vgsearch.space.space import Space, load_space, parse_space
from videogan.config import ConfigurationError, parse_config

TRIAL = {name: name.upper() for name in OF_THE_TRIAL}


def run(arguments: list[Any], parameters: dict[str, Any] | None = None, **command: Any) -> ProgramRun:
    values = {"command": {"arguments": arguments, "n_steps": 5, **command}, "n_classes": 4, **(parameters or {})}
    return parse_config(ProgramRun, values)


def test_each_argument_stays_one_whatever_its_value_holds():
    nasty = "a b; rm -rf $HOME `id` \"'\\\n{out} %s *"
    found = argument_list(run(["prog", "--text={text}", "{text}", "{{{lr}}}"], {"text": nasty, "lr": 5e-5}), TRIAL)
    assert found == ["prog", f"--text={nasty}", nasty, "{5e-05}"]


def test_values_are_written_as_programs_read_them():
    found = run(["p", "{a.b}", "{a.c}", "{d}", "{e}", "{seed}"], {"a": {"b": True, "c": 3}, "d": 0.1, "e": "x"})
    assert argument_list(found, TRIAL) == ["p", "true", "3", "0.1", "x", "SEED"]


def test_a_list_is_left_out_where_a_condition_rules_its_value_out():
    arguments = ["p", ["--momentum", "{momentum}"], "--end"]
    assert argument_list(run(arguments), TRIAL) == ["p", "--end"]
    assert argument_list(run(arguments, {"momentum": 0.9}), TRIAL) == ["p", "--momentum", "0.9", "--end"]


def test_the_environment_is_filled_in_too():
    assert environment(run(["p"], {"k": 2}, environment={"K": "<{k}>", "C": "{out}"}), TRIAL) == {
        "K": "<2>",
        "C": "OUT",
    }


@pytest.mark.parametrize(
    ("arguments", "parameters", "message"),
    [
        (["p", "{lrr}"], {"lr": 1.0}, "{lrr} has no value; did you mean 'lr'?"),
        (["p", "{lr}"], {"lr": 1.0, "beta": 2}, "beta has no effect: command.arguments has no placeholder {beta}"),
        (["p", "{}"], {}, "'{}' names nothing; write {{ and }} for braces."),
        (["p", "{lr"], {}, "write {{ and }} for braces."),
        (["p", "{lr:03d}"], {"lr": 1}, "must hold only names in braces"),
        (["p", "{lr!r}"], {"lr": 1}, "must hold only names in braces"),
        (["p", "{out}"], {"out": "x"}, "out is a placeholder of the trial's own"),
        (["p", "a\0b"], {}, "contains a null byte"),
        (["p", "{a}"], {"a": "x\0"}, "without null bytes"),
        (["p"], {"data": {"flip": True}}, "data.flip has no effect on a program"),
        ("p {out}", {}, "must be a list with an entry for each argument"),
        (["p", ["--width", 64]], {}, 'write "64" in quotes'),
        (["p"], {"parameters": 5, "lr": 1}, "parameters must map names to values, got 5"),
        ([], {}, "at least 1"),
        ([""], {}, "at least 1"),
        (["p", "{lr}"], {"lr": [1, 2]}, "parameters.lr"),
    ],
)
def test_a_command_that_cannot_be_filled_in_is_refused_by_name(arguments, parameters, message):
    with pytest.raises(ConfigurationError) as caught:
        run(arguments, parameters)
    assert message in str(caught.value)


def test_a_written_run_is_read_as_the_same_run():
    assert set(SECTIONS) == set(ProgramRun.model_fields)
    found = run(["p", "{a.b}"], {"a": {"b": 0.5}})
    assert parse_config(ProgramRun, found.model_dump(mode="json")) == found
    assert found.setting("a.b") == 0.5
    with pytest.raises(AttributeError):
        found.setting("a.c")


def space(**changes: Any) -> dict[str, Any]:
    values = load_space("moving_blobs").model_dump()
    return {**values, **changes}


def test_the_sweep_resolves_a_program_with_its_point_seed_and_classes():
    sweep = tiny_sweep("moving_blobs", seed=7)
    config = sweep.run_config(sweep.paper_points[0], 2)
    assert isinstance(config, ProgramRun)
    assert (config.seed, config.n_classes, config.n_steps, config.n_frames) == (9, 4, 30, 16)
    assert config.parameters == sweep.paper_points[0]
    assert config.preprocessing == "plain_32"
    with pytest.raises(ConfigurationError, match="searches another program"):
        sweep.family_config(sweep.paper_points[0])


def test_a_programs_search_is_over_without_a_floor_and_tries_no_half_batch():
    sweep = tiny_sweep("moving_blobs", n_trials=1)
    trial = TrialRecord("t0000-abc", 0, sweep.paper_points[0], state="out_of_memory")
    record = SweepRecord(trials={trial.trial_id: trial})
    assert at_half_the_batch(trial, sweep) is None
    assert left_to_do(record, sweep) == []
    assert is_over(record, sweep, [])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base": {"model": {}, "command": {}}}, "either model or command"),
        ({"domains": {"command.n_steps": {"type": "int", "low": 1, "high": 3}}}, "command.n_steps can't be searched"),
        (
            {"domains": {"rate": {"type": "float", "low": 0, "high": 1}}},
            "{speed} is neither a domain nor a value of base",
        ),
    ],
)
def test_a_space_that_does_not_fit_its_program_is_refused(changes, message):
    with pytest.raises(ConfigurationError) as caught:
        parse_config(Space, space(**changes))
    assert message in str(caught.value)


def test_population_based_training_of_a_program_is_refused():
    budget = {"purpose": "p", "n_trials": 4, "sampler": "pbt"}
    with pytest.raises(ConfigurationError, match="sampler pbt copies checkpoints"):
        parse_config(Space, space(budgets={"smoke": budget}))


def test_a_relative_working_folder_is_below_the_folder_of_the_spaces_file(tmp_path):
    text = """
name: mine
title: t
paper: none
base: {command: {arguments: [python, train.py, "{lr}"], n_steps: 3, folder: code}}
domains: {lr: {type: float, low: 0.1, high: 1.0}}
paper_points: [{lr: 0.5}]
budgets: {smoke: {purpose: p, n_trials: 2}}
"""
    (tmp_path / "mine.yaml").write_text(text)
    assert load_space(str(tmp_path / "mine.yaml")).base["command"]["folder"] == str(tmp_path / "code")
    assert parse_space(text, "mine.yaml").base["command"]["folder"] == "code"


def test_the_spaces_of_the_documentation_are_spaces():
    text = (Path(__file__).parents[3] / "docs/your-own-program.md").read_text("utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    spaces = [parse_space(block, "docs") for block in blocks]
    assert [found.name for found in spaces] == ["mine", "stylegan_v"]
    for found in spaces:
        sweep = tiny_sweep(found, next(iter(found.budgets)), n_classes=1 if found.name == "stylegan_v" else 4)
        sweep.refuse_impossible_domains()
        shown = argument_list(sweep.program_run(found.paper_points[0]), TRIAL)
        assert {"--lr", "0.001", "OUT"} <= set(shown) or {"OUT", "num_gpus=N_GPUS", "training.kimg=N_STEPS"} <= set(
            shown
        )

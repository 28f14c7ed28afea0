"""A search from Python: which functions it takes, and the space that it makes of one."""

import functools
import os
from pathlib import Path

import pytest

import vgsearch
from vgsearch.interface.function import BUDGET, _importable, _space_of
from vgsearch.program.command import OF_THE_TRIAL
from vgsearch.program.run import argument_list, environment
from vgsearch.space.sweep import Sweep
from videogan.config import ConfigurationError

DOMAINS = {
    "lr": {"type": "float", "low": 1e-5, "high": 1e-3, "log": True},
    "cell": {"type": "choice", "choices": ["a", "b"]},
}


def train(hyperparameters, reporter):
    """The function that is searched."""


class Holder:
    @staticmethod
    def train(hyperparameters, reporter):
        pass


def nested():
    def train(hyperparameters, reporter):
        pass

    return train


def test_the_space_of_a_function_calls_it_with_all_parameters_and_where_it_can_be_imported():
    module, root = _importable(train)
    assert module == __name__
    assert (root / Path(*module.split("."))).with_suffix(".py") == Path(__file__).absolute()
    settings = {"evaluation.objective": "-kvd", "command.seconds_of_silence": 5}
    space = _space_of("train", module, root, DOMAINS, {"lr": 1e-4, "cell": "b"}, 40)
    sweep = Sweep(
        space=space, budget=BUDGET, data="d", manifest_digest="0" * 64, n_classes=4, n_trials=2, overrides=settings
    )
    run = sweep.program_run(space.paper_points[0])
    values = {name: name.upper() for name in OF_THE_TRIAL}
    assert argument_list(run, values)[2:7] == [
        "vgsearch.program.call", __name__, "train", '{"lr": 0.0001, "cell": "b"}', "OUT",
    ]  # fmt: skip
    assert environment(run, values)["PYTHONPATH"].split(os.pathsep)[0] == str(root)
    assert (run.evaluation.objective, run.command.seconds_of_silence, run.n_steps) == (("-kvd",), 5, 40)


@pytest.mark.parametrize("function", [nested(), Holder.train, functools.partial(train), lambda h, r: None, print])
def test_a_function_that_no_other_process_can_import_is_refused(function):
    with pytest.raises(ConfigurationError, match="can't be imported by another process, so that no trial could start"):
        vgsearch.tune(function, DOMAINS, first={"lr": 1e-4, "cell": "a"}, n_steps=3)


def test_a_wrong_domain_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(ConfigurationError, match="lr must be in its domain"):
        vgsearch.tune(train, DOMAINS, first={"lr": 1.0, "cell": "a"}, n_steps=3, out=tmp_path)
    assert not list(tmp_path.iterdir())

"""What is told before anything starts is true of the run that follows."""

import io

import pytest
from rich.console import Console

from vgsearch.runtime.cluster.preflight import tell_what_data_sets
from vgsearch.space.space import load_space
from vgsearch.space.sweep import Sweep


@pytest.mark.parametrize(
    ("budget", "overrides", "told"),
    [
        ("paper", {}, "data.preprocessing=mvt_ucf101_96, loop.batch_size=56, model.n_frames_image=8"),
        ("paper", {"loop.batch_size": 16}, "data.preprocessing=mvt_ucf101_96, model.n_frames_image=8"),
        ("smoke", {}, "model.n_frames_image=8"),
    ],
)
def test_only_settings_of_a_data_set_that_nothing_replaces_are_told(budget: str, overrides: dict, told: str):
    space = load_space("mvt")
    on_data = space.on_data_set("ucf101", {**space.budgets[budget].overrides, **overrides})
    sweep = Sweep(
        space=on_data, budget=budget, data="", manifest_digest="", n_classes=2, n_trials=1, overrides=overrides
    )
    tell_what_data_sets(sweep, Console(file=(output := io.StringIO())))
    assert output.getvalue().splitlines() == [f"data set ucf101: the paper's {told}; --set changes them"]

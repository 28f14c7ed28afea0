"""What the papers set for each of their data sets, in every space that names one: frames, batch, subsampled frames."""

import itertools

import pytest

from tests.builders import tiny_sweep
from vgsearch.runtime.sweep.request import SweepRequest, on_its_data_set
from vgsearch.space.space import Space, installed_spaces, load_space
from videogan.training.run_config import RunConfig

SPACES = {name: space for name in installed_spaces() if (space := load_space(name)).data_sets}
MVT_96, MVT_128 = ("mvt_ucf101_96", 96, 56, 8), ("mvt_ucf101_128", 128, 64, 8)


def on(space: str, layout: str, budget: str = "paper", point: str | None = None) -> Space:
    return on_its_data_set(SweepRequest(space, budget, None, point=point), SPACES[space], {}, layout)


def first_config(space: Space, budget: str) -> RunConfig:
    sweep = tiny_sweep(space, budget)
    return sweep.run_config(sweep.paper_points[0], 0)


@pytest.mark.parametrize(
    ("space", "layout", "expected"),
    [
        ("mvt", "weizmann", ("mvt_weizmann", 96, 40, 4)),
        ("mvt_tsa", "weizmann", ("mvt_weizmann", 96, 40, 4)),
        ("mvt", "ucf101", MVT_96),
        ("mvt_tsa", "ucf101", MVT_128),
        ("mvt_tsa", "jester", ("mvt_jester", 96, 40, 4)),
        ("mvt_tsa", "plain", ("plain_96", 96, 40, 4)),
    ],
)
def test_mvt_gan_has_the_papers_frames_batch_and_n(space: str, layout: str, expected: tuple[str, int, int, int]):
    """Section 6: N = 8 on UCF-101, 4 elsewhere; MVT at 96 px in batches of 56, MVT-TSA at 128 px in batches of 64."""
    config = first_config(on(space, layout), "paper")
    model = config.model
    assert (config.preprocessing, model.resolution, config.loop.batch_size, model.n_frames_image) == expected


@pytest.mark.parametrize("space", ["tgan_svc", "tgan_clip", "tgan_gan", "tgan_conditional", "vgan", "volume3d"])
def test_tgan_crops_ucf101_as_its_reader_does(space: str):
    assert first_config(on(space, "ucf101"), "paper").preprocessing == "tgan_64"


def test_tganv2_stretches_ucf101_as_its_reader_does_and_is_smaller_on_moving_mnist():
    on_ucf101, on_digits = (first_config(on("tganv2", layout), "paper") for layout in ("ucf101", "moving_mnist"))
    assert (on_ucf101.preprocessing, on_ucf101.model.resolution) == ("tganv2_192", 192)
    assert (on_digits.preprocessing, on_digits.model.resolution) == ("plain_64", 64)


@pytest.mark.parametrize("space", SPACES)
def test_every_budget_trains_on_every_data_set_and_a_scaled_one_keeps_its_frame_size(space: str):
    for layout, budget in itertools.product(SPACES[space].data_sets, SPACES[space].budgets):
        config = first_config(on(space, layout, budget), budget)
        if budget != "paper":
            assert (config.model.resolution, config.preprocessing) == (32, "plain_32")


def test_point_names_a_data_set_whatever_the_layout_and_a_name_of_neither_is_suggested():
    assert on("mvt_tsa", "weizmann", point="ucf101") == on("mvt_tsa", "ucf101")
    assert on("table2", "ucf101", point="MVT").data_sets.keys() == {"ucf101"}
    assert on("mvt_tsa", "plain").data_sets == {}

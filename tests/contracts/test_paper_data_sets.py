"""What the papers set for each of their data sets, in every space that names one: frames, batch, subsampled frames."""

import itertools
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.builders import tiny_sweep
from vgsearch.runtime.cluster.preflight import refuse_unusable_data
from vgsearch.runtime.sweep.request import SweepRequest, on_its_data_set
from vgsearch.space.space import Space, installed_spaces, load_space
from videogan.config import ConfigurationError
from videogan.data.manifest import SPLITS, read_manifest, write_manifest
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
    assert (on_ucf101.data.flip, on_digits.data.flip) == (True, False), "a mirrored digit is none"
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


@pytest.mark.parametrize("layout", ["ucf101", "golf"])
def test_progressive_vgan_mirrors_half_of_the_clips_at_every_budget(layout: str):
    assert all(first_config(on("pvgan", layout, budget), budget).data.flip for budget in SPACES["pvgan"].budgets)


@pytest.mark.parametrize(
    ("names", "space", "refused"),
    [
        (["left", "up"], "mvt_tsa", True),
        (["Jump", "SwipeRight"], "mvt_tsa", True),
        (["Turning Hand Counterclockwise", "jump"], "mvt_tsa", True),
        (["brightness", "HandstandPushups"], "mvt_tsa", False),
        (["left", "up"], "tgan_svc", False),  # it has no labels
    ],
)
def test_flips_are_refused_where_they_would_change_a_label(tmp_path: Path, names: list[str], space: str, refused: bool):
    clip = {"n_frames": 16, "width": 64, "height": 64}
    named = [f"{label}{split}" for label in names for split in SPLITS]
    parts = [{"label": label, "split": split, "group": split} for label in names for split in SPLITS]
    rows = [{**clip, **part, "path": f"{name}.mp4", "sha": name} for name, part in zip(named, parts, strict=True)]
    write_manifest(tmp_path, rows)
    sweep = tiny_sweep(space, n_classes=2, overrides={"data.flip": True})
    with pytest.raises(ConfigurationError, match=r"data\.flip must be false") if refused else nullcontext():
        refuse_unusable_data(sweep, read_manifest(tmp_path))

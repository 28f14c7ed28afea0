import pickle

import pytest

from videogan.data.preprocessing import preprocessing_named


@pytest.mark.parametrize(
    ("name", "source", "resized", "corner", "size"),
    [
        ("mvt_ucf101_96", (320, 240), (127, 127), (15, 15), 96),
        ("mvt_ucf101_128", (320, 240), (170, 170), (21, 21), 128),
        ("mvt_weizmann", (180, 144), (180, 144), (42, 24), 96),
        ("mvt_jester", (176, 100), (136, 96), (20, 0), 96),
        ("tgan_64", (320, 240), (85, 64), (10, 0), 64),
        ("tganv2_192", (320, 240), (256, 192), (32, 0), 192),
        ("plain_64", (320, 240), (85, 64), (10, 0), 64),
        ("plain_32", (48, 96), (32, 64), (0, 16), 32),
    ],
)
def test_frames_are_resized_and_cropped_as_the_paper_says(name, source, resized, corner, size):
    way = preprocessing_named(name)
    assert way.size == size
    assert way.problem(*source) is None
    assert way.resized(*source, size) == resized
    assert way.corner(*resized) == corner
    assert pickle.loads(pickle.dumps(way)) == way, "it travels to Ray's workers by its name"


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("mvt_ucf101_128", (160, 120), "160x120 pixels, mvt_ucf101_128 needs at least 170 on the short side"),
        ("tgan_64", (64, 64), "64x64 pixels, tgan_64 needs at least 85x64"),
        ("mvt_weizmann", (180, 90), "needs at least 96 on the short side"),
    ],
)
def test_nothing_is_enlarged(name, source, message):
    assert message in preprocessing_named(name).problem(*source)


def test_jesters_narrow_clips_are_stretched_as_the_paper_does():
    assert preprocessing_named("mvt_jester").problem(132, 100) is None


@pytest.mark.parametrize(
    ("name", "meant"), [("mvt_ucf_96", "mvt_ucf101_96"), ("tgan64", "tgan_64"), ("plain64", "plain_64")]
)
def test_an_unknown_name_lists_the_known_ones_and_suggests_the_nearest(name, meant):
    with pytest.raises(
        ValueError, match=rf"plain_<size>, deinterlaced_<size>, mvt_ucf101_96, .*got '{name}'\. Did you mean {meant}\?"
    ):
        preprocessing_named(name)

import numpy as np
import pytest

from videogan.data.decode import decode
from videogan.data.formats import layout_of
from videogan.data.formats.contract import ImportOptions
from videogan.data.manifest import DataError
from videogan.data.preprocessing import preprocessing_named


def test_sequences_are_the_second_axis_one_class_each_its_own_group(tmp_path):
    clips = np.random.default_rng(0).integers(0, 255, (20, 12, 64, 64), dtype=np.uint8)
    np.save(tmp_path / "mnist_test_seq.npy", clips)
    layout = layout_of(tmp_path)
    assert layout.NAME == "moving_mnist"
    videos = layout.find(tmp_path, ImportOptions()).videos
    assert [video.path.name for video in videos[:2]] == ["mnist_test_seq.npy#00", "mnist_test_seq.npy#01"]
    assert len({video.group for video in videos}) == len(videos) == 12
    assert {video.label for video in videos} == {"digits"}
    shown = decode(videos[5].path, preprocessing_named("plain_64"))
    np.testing.assert_array_equal(shown, np.repeat(clips[:, 5, :, :, None], 3, axis=-1))


def test_an_array_of_another_shape_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((12, 20, 64), np.uint8))
    with pytest.raises(DataError, match=r"uint8 \(12, 20, 64\), expected uint8 \(T, n, H, W\): time first"):
        layout_of(tmp_path).find(tmp_path, ImportOptions())
    np.save(tmp_path / "b.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"2 \.npy files, expected one"):
        layout_of(tmp_path, "moving_mnist").find(tmp_path, ImportOptions())

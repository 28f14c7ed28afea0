from collections import Counter

import numpy as np
import pytest

from videogan.data.decode import decode
from videogan.data.manifest import SPLITS, DataError
from videogan.data.preprocessing import preprocessing_named
from videogan.data.synthetic import DIRECTIONS, make_moving_shapes


def test_every_group_has_clips_of_every_class_and_a_quarter_each_is_for_select_and_test(moving_shapes):
    rows = moving_shapes.usable.to_pylist()
    assert set(Counter((row["group"], row["label"]) for row in rows).values()) == {1}
    assert len(rows) == 16 * 4
    assert moving_shapes.classes == sorted(DIRECTIONS)
    assert [len(set(moving_shapes.split(name)["group"].to_pylist())) for name in SPLITS] == [8, 4, 4]


def test_the_default_set_has_48_groups_and_lacks_nothing(tmp_path):
    made = make_moving_shapes(tmp_path / "shapes", n_clips_each=1, n_frames=1, size=16)
    assert [len(set(made.split(name)["group"].to_pylist())) for name in SPLITS] == [24, 12, 12]
    assert [len(made.split(name)) for name in SPLITS] == [24 * 4, 12 * 4, 12 * 4]
    assert made.lack_of_select is None
    shapes, radii = zip(*[group.split("-") for group in set(made.usable["group"].to_pylist())], strict=True)
    assert set(Counter(shapes).values()) == {8}
    assert set(Counter(radii).values()) == {6}


@pytest.mark.parametrize("n_groups", [1, 49])
def test_a_number_of_groups_that_do_not_exist_is_refused(tmp_path, n_groups):
    with pytest.raises(ValueError, match=f"n_groups must be 2 to 48, got {n_groups}"):
        make_moving_shapes(tmp_path / "shapes", n_groups=n_groups)
    assert not (tmp_path / "shapes").exists()


def test_same_seed_same_bytes(moving_shapes, tmp_path):
    again = make_moving_shapes(tmp_path / "again", n_clips_each=1, n_groups=16, n_frames=20)
    other = make_moving_shapes(tmp_path / "other", seed=1, n_clips_each=1, n_groups=16, n_frames=20)
    assert again.digest == moving_shapes.digest != other.digest


def test_shapes_move_the_way_their_class_says(moving_shapes):
    plain = preprocessing_named("plain_64")
    for row in moving_shapes.usable.to_pylist()[::5]:
        frames = decode(moving_shapes.location(row["path"]), plain).astype(float).sum(-1)
        shape = np.abs(frames - np.median(frames, axis=0)) > 120  # the background never moves
        x, y = (np.exp(2j * np.pi * np.arange(64) / 64) @ shape.sum(axis).T for axis in (1, 2))
        # Mean turn of the circular centre along each axis: the larger one is the motion.
        turns = [np.angle(np.sum(place[1:] * place[:-1].conj())) for place in (x, y)]
        assert (
            np.sign(turns[np.argmax(np.abs(turns))]) * np.eye(2)[np.argmax(np.abs(turns))] @ DIRECTIONS[row["label"]]
            == 1
        )


def test_an_existing_folder_is_refused(moving_shapes):
    with pytest.raises(DataError, match="exists already"):
        make_moving_shapes(moving_shapes.folder)

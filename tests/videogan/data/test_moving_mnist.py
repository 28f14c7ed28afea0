import gzip

import numpy as np
import pytest

from videogan.data.decode import content_sha, decode
from videogan.data.formats import layout_of
from videogan.data.manifest import DataError
from videogan.data.moving_mnist import (
    DIGIT_SIZE,
    RANGE,
    SPEEDS,
    bounced,
    drawn_digit,
    drawn_velocity,
    make_moving_mnist,
    moving_digits,
    read_digits,
)
from videogan.data.preprocessing import preprocessing_named


def test_positions_stay_inside_and_walls_do_not_change_the_speed():
    rng = np.random.default_rng(0)
    for _ in range(50):
        velocity = drawn_velocity(rng)
        places = bounced(rng.uniform(0, RANGE, 2), velocity, 100)
        assert places.min() >= 0
        assert places.max() <= RANGE
        # Unfolded, i.e. mirrored back at every wall, the path is a straight line at constant speed. Within a frame that
        # touches no wall each component moves by exactly its own speed.
        steps = np.abs(np.diff(places, axis=0))
        free = (places[:-1] > SPEEDS[1]) & (places[:-1] < RANGE - SPEEDS[1])
        np.testing.assert_allclose(steps[free], np.broadcast_to(np.abs(velocity), steps.shape)[free])
        assert (steps <= np.abs(velocity) + 1e-9).all()


def test_a_wall_reflects_the_position_and_only_that_velocity_component():
    np.testing.assert_allclose(
        bounced(np.array([1.0, 10.0]), np.array([-3.0, 2.0]), 4), [[1, 10], [2, 12], [5, 14], [8, 16]]
    )
    np.testing.assert_allclose(bounced(np.array([35.0, 0.0]), np.array([3.0, 0.0]), 3), [[35, 0], [34, 0], [31, 0]])


def test_speeds_are_uniform_from_2_to_5_pixels_and_directions_cover_the_circle():
    rng = np.random.default_rng(0)
    velocities = np.array([drawn_velocity(rng) for _ in range(4000)])
    speeds = np.linalg.norm(velocities, axis=1)
    assert (speeds.min() >= 2) & (speeds.max() <= 5)
    # Four standard errors of a uniform distribution's mean, (5 - 2) / sqrt(12 n), and of a component's mean.
    assert abs(speeds.mean() - 3.5) < 4 * 3 / np.sqrt(12 * 4000)
    assert (np.abs(velocities.mean(0)) < 4 * 5 / np.sqrt(2 * 4000)).all()


def test_digits_are_composed_by_the_brighter_pixel():
    images = np.full((1, DIGIT_SIZE, DIGIT_SIZE), 200, np.uint8)
    frames = moving_digits(np.random.default_rng(0), 200, images)
    assert set(np.unique(frames)) == {0, 200}, "a sum would wrap or saturate where the two overlap"
    lit = (frames > 0).sum((1, 2))
    assert lit.max() <= 2 * DIGIT_SIZE**2
    assert DIGIT_SIZE**2 <= lit.min() < 2 * DIGIT_SIZE**2, "they do overlap"


def test_drawn_digits_differ_from_each_other_and_fit():
    rng = np.random.default_rng(0)
    digits = np.stack([drawn_digit(rng, number) for number in range(10)]).astype(int)
    border = np.concatenate([digits[:, 0], digits[:, -1], digits[:, :, 0], digits[:, :, -1]], axis=1)
    assert border.max() < 255
    assert all(np.abs(a - b).mean() > 5 for i, a in enumerate(digits) for b in digits[:i])


def test_the_array_is_like_the_published_one_and_depends_only_on_the_seed(tmp_path):
    manifest = make_moving_mnist(tmp_path / "a", n_clips=12)
    array = np.load(tmp_path / "a" / "moving_mnist.npy")
    assert (array.dtype, array.shape) == (np.uint8, (20, 12, 64, 64))
    rows = manifest.usable.to_pylist()
    assert [row["group"] for row in rows] == [f"{n:02d}" for n in range(12)]
    assert [row["sha"] for row in rows] == [content_sha(manifest.location(row["path"])) for row in rows]
    shown = decode(manifest.location(rows[11]["path"]), preprocessing_named("plain_64"))
    np.testing.assert_array_equal(shown, np.repeat(array[:, 11, :, :, None], 3, -1))
    assert make_moving_mnist(tmp_path / "b", n_clips=12).digest == manifest.digest
    assert make_moving_mnist(tmp_path / "c", n_clips=12, seed=1).digest != manifest.digest
    assert layout_of(tmp_path / "a").NAME == "moving_mnist"
    assert manifest.n_colours == 1
    with pytest.raises(DataError, match="exists already"):
        make_moving_mnist(tmp_path / "a")


def test_real_digits_are_read_from_a_csv_with_labels(tmp_path, shared_data):
    images = read_digits(shared_data / "mnist" / "mnist_5k.csv.gz")
    assert images.shape == (5000, 28, 28)
    assert 20 < images.mean() < 50
    frames = moving_digits(np.random.default_rng(0), 20, images)
    assert frames.max() > 250


def test_a_csv_without_digits_is_refused_with_its_line(tmp_path):
    good = ",".join(["7"] * 785)
    (tmp_path / "good.csv").write_text(good + "\n" + good)
    assert read_digits(tmp_path / "good.csv").shape == (2, 28, 28)
    for bad in ("7,8", "pixel0,pixel1", good.replace("7", "300", 1)):
        (tmp_path / "bad.csv").write_text(good + "\n" + bad)
        with pytest.raises(DataError, match=r"bad\.csv line 2: expected 784 pixels"):
            read_digits(tmp_path / "bad.csv")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(good.encode() * 9)[:-12])
    with pytest.raises(DataError, match="damaged"):
        read_digits(tmp_path / "cut.csv.gz")
    with pytest.raises(DataError, match="no such file"):
        read_digits(tmp_path / "gone.csv")

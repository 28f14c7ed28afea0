import math

import numpy as np
import pytest

from videogan.data.frame_times import PAUSE_SECONDS, even_frames
from videogan.data.source import MAX_FPS

UNITS = (1e-3, 1 / 90_000, 1 / 12_800, 1e-6)  # of Matroska, MPEG, MP4, ASF


def stamps(n, fps, unit, rng=None):
    """Timestamps of a constant rate, rounded to units, from an arbitrary start."""
    start = 0 if rng is None else int(rng.integers(0, 10**6))
    return start + np.round(np.arange(n) / (fps * unit)).astype(np.int64)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("fps", [1, 10, 24, 25, 29.97, 30, 50, 59.94, 60, 100, 119.88, 120])
def test_a_constant_rate_keeps_every_frame(fps, unit):
    even = even_frames(stamps(500, fps, unit), unit)
    assert even.frames is None
    assert even.fps == pytest.approx(fps, rel=1e-2)
    assert even.pauses == ()


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("fps", [121, 144, 200, 239.76, 240, 300, 480, 500, 600, 960, 1000])
def test_a_high_rate_takes_every_kth_frame(fps, unit):
    even = even_frames(stamps(1000, fps, unit, np.random.default_rng(0)), unit)
    stride = math.ceil(fps / MAX_FPS)
    assert set(np.diff(even.frames)) == {stride}
    assert (even.frames[0], even.frames[-1]) == (0, (999 // stride) * stride)
    assert even.fps == pytest.approx(fps / stride, rel=1e-2)
    assert even.fps <= MAX_FPS * 1.001


@pytest.mark.parametrize("fps", [15, 30, 240, 480])
@pytest.mark.parametrize("seed", range(5))
def test_lost_frames_do_not_move_the_others(fps, seed):
    """With some frames lost, each moment shows the last frame before it: never one from the future, none left out."""
    rng, unit = np.random.default_rng(seed), 1 / 90_000
    whole = stamps(400, fps, unit, rng)
    kept = np.sort(rng.choice(np.arange(1, 399), 360, replace=False))
    kept = np.concatenate([[0], kept, [399]])
    even = even_frames(whole[kept], unit)
    stride = max(1, math.ceil(fps / MAX_FPS))
    moments = np.arange(len(even.frames)) * stride
    assert len(even.frames) == len(range(0, 400, stride))
    for moment, frame in zip(moments, kept[even.frames], strict=True):
        assert frame == kept[kept <= moment].max()


@pytest.mark.parametrize("seed", range(5))
def test_only_differences_of_time_matter(seed):
    rng = np.random.default_rng(seed)
    pts = rng.choice([1, 2, 3, 7], 200).cumsum() * 30
    even = even_frames(pts, 1e-3)
    for other in (even_frames(pts + 12_345, 1e-3), even_frames(pts * 90, 1e-3 / 90)):
        np.testing.assert_array_equal(other.frames, even.frames)
        assert other.fps == pytest.approx(even.fps)
    assert (np.diff(even.frames) >= 0).all()
    assert even.frames[-1] == len(pts) - 1


def test_jitter_below_half_a_frame_changes_nothing():
    rng = np.random.default_rng(0)
    pts = np.arange(300) * 3000 + rng.integers(-700, 700, 300)
    assert even_frames(pts, 1 / 90_000).frames is None


def test_a_pause_is_filled_with_its_frame_and_told():
    pts = np.concatenate([np.arange(20), 1519 + np.arange(20)]) * 40
    even = even_frames(pts, 1e-3)
    assert np.bincount(even.frames).tolist() == [1] * 19 + [1500] + [1] * 20
    assert even.pauses == ((19, pytest.approx(60.0)),)
    assert even_frames(pts, 1e-3 * PAUSE_SECONDS / 60.1).pauses == ()

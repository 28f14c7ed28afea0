import numpy as np
import pytest

from videogan.data.decode import preprocessing_named
from videogan.data.manifest import DataError, write_manifest
from videogan.data.windows import WindowSchedule, select_clips, window


def test_each_epoch_shows_every_clip_once_in_a_new_order():
    schedule = WindowSchedule(np.full(10, 20), n_frames=16, seed=1)
    clips, _ = schedule.at(np.arange(30))
    epochs = clips.reshape(3, 10)
    assert (np.sort(epochs) == np.arange(10)).all()
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_starts_are_uniform_over_all_valid_ones_with_the_last_included():
    _, starts = WindowSchedule(np.full(4, 20), n_frames=16, seed=0).at(np.arange(4000))
    counts = np.bincount(starts)
    assert len(counts) == 5
    assert np.abs(counts - 800).max() < 4 * np.sqrt(4000 * 0.2 * 0.8)


def test_a_position_has_its_window_whatever_was_asked_before():
    schedule = WindowSchedule(np.arange(16, 30), n_frames=16, seed=3)
    clips, starts = schedule.at(np.arange(100))
    for position in (99, 0, 57):
        assert schedule.at(np.array([position])) == (clips[position], starts[position])


def test_ranks_share_the_global_batch_between_them():
    schedule = WindowSchedule(np.full(7, 30), n_frames=16, seed=3)
    whole = np.stack(schedule.batch(5, 8))
    parts = np.concatenate([np.stack(schedule.batch(5, 8, rank, 4)) for rank in range(4)], axis=1)
    np.testing.assert_array_equal(whole, parts)


def test_a_short_clip_is_skipped_with_the_remedy_or_repeats_its_last_frame(tmp_path):
    size = {"width": 64, "height": 64, "label": "run", "split": "train"}
    rows = [{"path": f"{n}.mp4", "group": f"p{n}", "n_frames": n, "sha": str(n)} | size for n in (9, 16)]
    manifest, plain = write_manifest(tmp_path, rows), preprocessing_named("plain_64")
    skipping = select_clips(manifest, "train", plain, 16)
    assert skipping.shas == ("16",)
    assert skipping.skipped == (
        "9.mp4: 9 frames decode, 16 are needed. Skipped. --set data.short_clips=repeat_last keeps it.",
    )
    assert len(select_clips(manifest, "train", plain, 16, "repeat_last")) == 2
    frames = np.arange(9).reshape(9, 1, 1, 1)
    assert window(frames, 0, 16).ravel().tolist() == [*range(9), *[8] * 7]
    with pytest.raises(DataError, match=r"no usable clip in train. 2 clips: 64x64 pixels, plain_96 needs"):
        select_clips(manifest, "train", preprocessing_named("plain_96"), 16)

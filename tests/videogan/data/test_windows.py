import numpy as np
import pytest

from videogan.data.manifest import DataError, write_manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.data.windows import WindowSchedule, select_clips, stride_of, window

UNEQUAL = np.repeat([0, 1, 3], [1, 9, 40])  # labels; class 2 does not occur


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


def test_starts_leave_room_for_every_nth_frame_at_each_clips_stride():
    schedule = WindowSchedule(np.array([35, 35, 31, 30]), n_frames=16, seed=0, strides=np.array([1, 2, 2, 2]))
    clips, starts = schedule.at(np.arange(4000))
    for clip, n_starts in enumerate((20, 5, 1, 1)):
        assert set(starts[clips == clip]) == set(range(n_starts))


def test_a_window_is_every_nth_frame_from_its_start_and_repeats_the_clips_last_frame():
    frames = np.arange(40).reshape(40, 1, 1, 1)
    assert window(frames, 3, 16, 2).ravel().tolist() == list(range(3, 34, 2))
    assert window(frames, 9, 16, 2).ravel().tolist() == list(range(9, 40, 2))
    assert window(frames[:20], 0, 16, 2).ravel().tolist() == [*range(0, 20, 2), *[19] * 6]
    assert np.shares_memory(window(frames, 3, 16, 2), frames), "nothing is copied"


def test_the_window_of_a_position_does_not_depend_on_earlier_requests():
    schedule = WindowSchedule(np.arange(16, 30), n_frames=16, seed=3)
    clips, starts = schedule.at(np.arange(100))
    for position in (99, 0, 57):
        assert schedule.at(np.array([position])) == (clips[position], starts[position])


def test_the_order_of_windows_is_that_of_earlier_versions():
    clips, starts = WindowSchedule(np.array([16, 20, 33, 18, 50]), n_frames=16, seed=7).at(np.arange(12))
    assert clips.tolist() == [2, 0, 4, 1, 3, 3, 0, 2, 1, 4, 0, 2]
    assert starts.tolist() == [13, 0, 7, 2, 2, 1, 0, 2, 1, 15, 0, 16]


@pytest.mark.parametrize("batch_size", [1, 6, 24])
def test_ranks_parts_of_every_global_batch_are_disjoint_whole_and_in_order(batch_size):
    lengths = np.arange(1000, 1019)
    for balanced in (None, np.arange(19) % 4):
        schedule = WindowSchedule(lengths, 16, seed=3, balanced=balanced)
        windows = np.stack(schedule.at(np.arange(8 * batch_size)))
        for n_ranks in [n for n in range(1, batch_size + 1) if batch_size % n == 0]:
            for index in range(8):
                parts = [np.stack(schedule.batch(index, batch_size, rank, n_ranks)) for rank in range(n_ranks)]
                whole = windows[:, index * batch_size : (index + 1) * batch_size]
                np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


@pytest.mark.parametrize(("batch_size", "n_ranks"), [(1, 1), (4, 2), (12, 3), (24, 8), (60, 6)])
def test_over_one_epoch_the_ranks_show_every_clip_exactly_once(batch_size, n_ranks):
    n_clips = 120
    schedule = WindowSchedule(np.full(n_clips, 20), 16, seed=2)
    shown = [
        schedule.batch(index, batch_size, rank, n_ranks)[0]
        for index in range(n_clips // batch_size)
        for rank in range(n_ranks)
    ]
    assert sorted(np.concatenate(shown)) == list(range(n_clips))


def test_a_global_batch_that_does_not_divide_by_the_ranks_is_refused():
    with pytest.raises(ValueError, match="batch_size must be a multiple of the 3 ranks, got 8"):
        WindowSchedule(np.full(9, 20), 16, seed=0).batch(0, 8, 0, 3)


def test_balanced_classes_get_equally_many_windows_in_every_epoch():
    schedule = WindowSchedule(np.full(50, 20), 16, seed=1, balanced=UNEQUAL)
    assert schedule.n_windows == 51
    clips, _ = schedule.at(np.arange(7 * 51))
    for epoch in UNEQUAL[clips].reshape(7, 51):
        assert np.bincount(epoch).tolist() == [17, 17, 0, 17]
    assert len({tuple(epoch) for epoch in UNEQUAL[clips].reshape(7, 51)}) == 7, "each epoch has its own order"


def test_the_clips_of_a_balanced_class_take_turns():
    schedule = WindowSchedule(np.full(50, 20), 16, seed=1, balanced=UNEQUAL)
    clips, _ = schedule.at(np.arange(100 * 51))
    for n_epochs in (1, 2, 3, 100):
        shown = np.bincount(clips[: n_epochs * 51], minlength=50)
        for label in (0, 1, 3):
            of_class = shown[label == UNEQUAL]
            assert of_class.sum() == 17 * n_epochs
            assert np.ptp(of_class) <= 1
    # Each round has a new order: the nine clips of class 1 do not always come in the same one.
    rounds = clips[UNEQUAL[clips] == 1][: 9 * 20]
    assert len({tuple(order) for order in rounds.reshape(20, 9)}) > 1


def test_balanced_starts_are_uniform_and_each_showing_has_its_own():
    schedule = WindowSchedule(np.full(50, 20), 16, seed=1, balanced=UNEQUAL)
    clips, starts = schedule.at(np.arange(100 * 51))
    only = starts[clips == 0]
    assert np.abs(np.bincount(only) - 340).max() < 4 * np.sqrt(1700 * 0.2 * 0.8)
    assert len(set(only[:17])) > 1, "one clip, 17 times in its first epoch"


def test_a_balanced_window_depends_only_on_seed_and_position():
    schedule = WindowSchedule(np.arange(16, 66), n_frames=16, seed=3, balanced=UNEQUAL)
    clips, starts = schedule.at(np.arange(400))
    for position in (399, 0, 57, 200):
        fresh = WindowSchedule(np.arange(16, 66), n_frames=16, seed=3, balanced=UNEQUAL)
        assert fresh.at(np.array([position])) == (clips[position], starts[position])
        assert schedule.at(np.array([position])) == (clips[position], starts[position])
    other, _ = WindowSchedule(np.arange(16, 66), n_frames=16, seed=4, balanced=UNEQUAL).at(np.arange(400))
    assert not np.array_equal(clips, other)


def test_a_short_clip_is_skipped_with_a_remedy_or_repeats_its_last_frame(tmp_path):
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


def manifest_of(folder, lengths):
    size = {"width": 64, "height": 64, "label": "run", "split": "train"}
    rows = [{"path": f"{n}.mp4", "group": f"p{n}", "n_frames": n, "sha": str(n)} | size for n in lengths]
    return write_manifest(folder, rows)


def test_a_clip_too_short_for_every_nth_frame_is_reported_with_the_frames_needed(tmp_path):
    manifest, plain = manifest_of(tmp_path, (16, 30, 31, 60)), preprocessing_named("plain_64")
    skipping = select_clips(manifest, "train", plain, 16, every_nth=2)
    assert skipping.shas == ("31", "60")
    assert skipping.centre_starts(16).tolist() == [0, 14]
    assert skipping.skipped[-1] == (
        "30.mp4: 30 frames decode, 31 are needed for 16 at data.every_nth=2. Skipped. "
        "--set data.short_clips=repeat_last keeps it."
    )
    repeating = select_clips(manifest, "train", plain, 16, "repeat_last", every_nth=2)
    assert repeating.strides.tolist() == [2, 2, 2, 2]
    assert repeating.schedule(16, seed=0).strides is repeating.strides


def test_the_released_stride_is_two_if_a_clip_has_twice_the_frames_else_one(tmp_path):
    assert [stride_of(length, 16, "released") for length in (16, 31, 32, 100)] == [1, 1, 2, 2]
    selection = select_clips(
        manifest_of(tmp_path, (15, 16, 31, 32)), "train", preprocessing_named("plain_64"), 16, every_nth="released"
    )
    assert selection.shas == ("16", "31", "32")
    assert selection.strides.tolist() == [1, 1, 2]
    assert len(selection.skipped) == 1

"""Videos in place of a generator: disjoint parts, with each class in the data set's proportion."""

import pytest
import torch

from tests.builders import numbered_clips
from videogan.data.clip_set import ClipSet, LabelledClips, all_windows
from videogan.protocols.video_pool import VideoPool


def numbered(*n_of_class: int) -> LabelledClips:
    """Clips of one pixel, which is their number, ordered by class; `n_of_class` gives the clips per class."""
    labels = torch.arange(len(n_of_class)).repeat_interleave(torch.tensor(n_of_class))
    frames = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1, 1).expand(-1, 8, 1, 1, 3)
    return LabelledClips(frames.contiguous(), labels, len(n_of_class))


def numbers(clips: ClipSet) -> list[int]:
    return all_windows(clips)[:, 0, 0, 0, 0].tolist()


@pytest.mark.parametrize("n", [(9, 6), (20, 31)])
def test_a_large_enough_pool_gives_every_real_clip_its_own_video(n):
    train, test, pool = numbered(6, 4), numbered(3, 2), numbered(*n)
    videos = VideoPool(pool, train, test)
    assert videos.short_classes == []
    for seed in range(5):
        of_train, of_test = (numbers(videos(p, c.labels, seed)) for p, c in (("train", train), ("test", test)))
        assert len({*of_train, *of_test}) == 15, "no video replaces two clips"
        assert torch.equal(pool.labels[of_train], train.labels)
        assert torch.equal(pool.labels[of_test], test.labels)


def test_no_seed_trains_on_the_test_videos_of_another():
    train, test, pool = numbered(6, 4), numbered(3, 2), numbered(20, 31)
    videos = VideoPool(pool, train, test)
    tested = {n for seed in range(20) for n in numbers(videos("test", test.labels, seed))}
    trained = {n for seed in range(20) for n in numbers(videos("train", train.labels, seed))}
    assert len(tested) == 5
    assert not tested & trained
    assert len(trained) > 10, "different seeds use different videos"


def test_too_few_videos_are_divided_in_proportion_and_repeated():
    train, test, pool = numbered(60, 4), numbered(30, 2), numbered(9, 6)
    videos = VideoPool(pool, train, test)
    assert videos.short_classes == [0]
    of_train, of_test = (numbers(videos(p, c.labels, 0)) for p, c in (("train", train), ("test", test)))
    assert len({n for n in of_train if n < 9}) == 6
    assert len({n for n in of_test if n < 9}) == 3
    assert not set(of_train) & set(of_test)
    assert all(of_train.count(n) == 10 for n in of_train if n < 9)


def test_two_videos_give_one_to_train_on_and_one_to_test_on():
    train, test = numbered(60, 4), numbered(1, 2)
    videos = VideoPool(numbered(2, 6), train, test)
    of_train, of_test = (set(numbers(videos(p, c.labels, 0))) & {0, 1} for p, c in (("train", train), ("test", test)))
    assert len(of_train) == len(of_test) == 1
    assert of_train != of_test


def test_samples_and_looks_use_all_videos():
    videos = VideoPool(numbered(9, 6), numbered(6, 4), numbered(3, 2))
    for purpose in ("samples", "look"):
        assert sorted(numbers(videos(purpose, numbered(9, 6).labels, 3))) == list(range(15))


def test_parts_and_choices_depend_only_on_their_seeds():
    train, test, pool = numbered(6, 4), numbered(3, 2), numbered(20, 31)
    one, same, other = (VideoPool(pool, train, test, seed) for seed in (0, 0, 1))
    assert numbers(one("train", train.labels, 5)) == numbers(same("train", train.labels, 5))
    assert numbers(one("train", train.labels, 5)) != numbers(one("train", train.labels, 6))
    assert set(numbers(one("test", test.labels, 5))) != set(numbers(other("test", test.labels, 5)))


@pytest.mark.parametrize(("n", "named"), [((1, 6, 0), r"\[0, 2\]"), ((5, 5, 1), r"\[2\]")])
def test_a_class_with_fewer_than_two_videos_is_refused_by_its_number(n, named):
    with pytest.raises(
        ValueError, match=f"at least 2 videos, one for training and one for testing, got fewer of {named}"
    ):
        VideoPool(numbered(*n), numbered(6, 4, 2), numbered(3, 2, 1))


def test_a_class_without_test_clips_is_used_for_training_only():
    train, test = numbered(3, 4), numbered(2, 0)
    videos = VideoPool(numbered(5, 4), train, test)
    assert videos.short_classes == []
    assert set(numbers(videos("train", train.labels, 0))) >= {5, 6, 7, 8}


def test_other_classes_than_the_data_sets_are_refused():
    with pytest.raises(ValueError, match="have the data set's 2 classes, got 3 classes"):
        VideoPool(numbered(4, 4, 4), numbered(2, 2), numbered(2, 2))


def test_videos_show_other_windows_in_other_draws_and_seeds():
    pool = numbered_clips([40] * 15, [0] * 9 + [1] * 6, [str(i) for i in range(15)], n_frames=8)
    videos = VideoPool(pool, numbered(6, 4), numbered(3, 2))
    sets = [videos("train", numbered(6, 4).labels, seed) for seed in (0, 0, 1)]
    starts = [[tuple(all_windows(clips, draw)[:, 0, 0, 0, 1].tolist()) for draw in range(4)] for clips in sets]
    assert starts[0] == starts[1]
    assert len({*starts[0], *starts[2]}) == 8, "four draws of two seeds"


def test_a_repeated_video_shows_another_window_each_time():
    pool = numbered_clips([40] * 4, [0, 0, 1, 1], list("abcd"), n_frames=8)
    clips = VideoPool(pool, numbered(20, 1), numbered(4, 1))("train", torch.zeros(20, dtype=torch.int64), 0)
    windows = all_windows(clips)[:, 0, 0, 0]
    assert len(set(windows[:, 0].tolist())) == 1, "one video of class 0 trains, 20 times"
    assert len(set(windows[:, 1].tolist())) > 10

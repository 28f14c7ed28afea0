import pickle

import pytest
import torch

from videogan.config import ConfigurationError, parse_config
from videogan.data.clips import DataConfig, TrainingClips, centre_windows, open_cache, to_frames, to_video


def test_frames_and_video_are_inverse_and_bounded():
    frames = torch.arange(256, dtype=torch.uint8).reshape(1, 4, 8, 8, 1).expand(2, 4, 8, 8, 3)
    video = to_video(frames)
    assert video.shape == (2, 4, 3, 8, 8)
    assert (video.min(), video.max()) == (-1, 1)
    assert torch.equal(to_frames(video), frames)
    assert to_frames(torch.tensor([-3.0, 3.0]).reshape(1, 2, 1, 1, 1)).flatten().tolist() == [0, 255]


def test_batches_are_a_pure_function_of_seed_and_index(store):
    clips = TrainingClips(store, batch_size=8, n_frames=16, seed=5)
    later, first = clips.batch(37), clips.batch(0)
    again = pickle.loads(pickle.dumps(clips))
    for expected, index in ((first, 0), (later, 37)):
        for one, other in zip(expected, again.batch(index), strict=True):
            assert torch.equal(one, other)
    assert not torch.equal(TrainingClips(store, 8, 16, seed=6).batch(0)[0], first[0])
    assert first[0].shape == (8, 16, 32, 32, 3)
    assert first[0].dtype == torch.uint8
    assert first[1].dtype == torch.int64


def test_ranks_get_the_parts_of_the_global_batch(store):
    whole = TrainingClips(store, 8, 16, seed=0).batch(3)
    parts = [TrainingClips(store, 8, 16, seed=0, rank=rank, n_ranks=2).batch(3) for rank in range(2)]
    assert torch.equal(whole[0], torch.cat([frames for frames, _ in parts]))
    assert torch.equal(whole[1], torch.cat([labels for _, labels in parts]))


def test_training_never_sees_a_test_clip_and_counts_its_labels(store):
    clips = TrainingClips(store, 12, 16, seed=0)
    test = store.select("test", 16)
    assert not set(clips.selection.groups) & set(test.groups)
    assert clips.n_clips + len(test) == len(store.manifest.usable)
    _, labels = zip(*[clips.batch(index) for index in range(4)], strict=True)
    assert torch.equal(torch.bincount(torch.cat(labels)), clips.label_counts), "one epoch of 48 clips"


def test_centre_windows_are_the_middle_of_each_clip(store):
    frames, labels = centre_windows(store, "test", 16)
    selection = store.select("test", 16)
    assert labels.tolist() == selection.labels.tolist()
    for index, sha in enumerate(selection.shas):
        assert torch.equal(frames[index], torch.tensor(store.files.frames(sha)[2:18]))


def test_a_store_opens_again_from_a_few_bytes(store):
    sent = pickle.dumps(store)
    assert len(sent) < 500
    assert pickle.loads(sent).manifest.digest == store.manifest.digest
    assert open_cache(store.files.folder, store.manifest.folder).classes == store.classes


def test_the_stream_takes_over_where_the_cache_limit_is_passed(moving_shapes):
    decoded = 64 * 20 * 32 * 32 * 3
    assert DataConfig(cache_limit_gb=(decoded + 1) / 1e9).chosen_feed(moving_shapes, "plain_32") == "cache"
    assert DataConfig(cache_limit_gb=(decoded - 1) / 1e9).chosen_feed(moving_shapes, "plain_32") == "stream"
    assert DataConfig(feed="cache", cache_limit_gb=1e-9).chosen_feed(moving_shapes, "plain_32") == "cache"


def test_an_unknown_preprocessing_is_refused_before_anything_starts():
    with pytest.raises(ConfigurationError, match="plain_<size>"):
        parse_config(DataConfig, {"preprocessing": "tiny"})

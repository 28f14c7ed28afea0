import os
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from videogan.config import ConfigurationError, parse_config
from videogan.data.cache import DamagedShard
from videogan.data.clips import (
    ClipStore,
    DataConfig,
    TrainingClips,
    centre_windows,
    open_cache,
    to_frames,
    to_video,
)
from videogan.data.manifest import DataError, write_manifest
from videogan.data.windows import with_colours
from videogan.shard import Shard
from videogan.training.loop import Training
from videogan.training.run_config import RunConfig


def test_frames_and_video_are_inverse_and_bounded():
    frames = torch.arange(256, dtype=torch.uint8).reshape(1, 4, 8, 8, 1).expand(2, 4, 8, 8, 3)
    video = to_video(frames)
    assert video.shape == (2, 4, 3, 8, 8)
    assert (video.min(), video.max()) == (-1, 1)
    assert torch.equal(to_frames(video), frames)


def test_grey_video_has_the_one_colour_of_grey_frames_and_gets_three_equal_ones_back():
    frames = torch.arange(256, dtype=torch.uint8).reshape(1, 4, 8, 8, 1).expand(2, 4, 8, 8, 3)
    video = to_video(with_colours(frames, 1, "clips"))
    assert video.shape == (2, 4, 1, 8, 8)
    assert torch.equal(to_frames(video), frames)
    assert to_frames(torch.tensor([-3.0, 3.0]).reshape(1, 2, 1, 1, 1)).flatten().tolist() == [0] * 3 + [255] * 3
    assert with_colours(frames, 3, "clips") is frames
    coloured = frames.clone()
    coloured[1, 2, 3, 4, 1] += 1
    for kind in (coloured, coloured.numpy()):
        with pytest.raises(ConfigurationError, match=r"of b: model\.n_colours = 1 needs grey clips, got colour"):
            with_colours(kind, 1, "of b")


def test_clips_of_one_colour_are_contiguous_and_refused_by_name_where_they_are_not_grey(store, blue_store):
    frames, _ = TrainingClips(store, 8, 16, seed=0, n_colours=1).batch(2)
    assert frames.shape == (8, 16, 32, 32, 1)
    assert frames.is_contiguous()
    assert torch.equal(frames.expand(-1, -1, -1, -1, 3), TrainingClips(store, 8, 16, seed=0).batch(2)[0])
    with pytest.raises(ConfigurationError, match=r"\.mp4: model\.n_colours = 1 needs grey clips"):
        TrainingClips(blue_store, 8, 16, seed=0, n_colours=1).batch(0)


def test_a_file_is_compared_with_grey_when_it_is_first_read_and_not_again(new_store, monkeypatch: pytest.MonkeyPatch):
    clips, compared = TrainingClips(new_store, 8, 16, seed=0, n_colours=1), []

    def counted(frames: np.ndarray, n_colours: int, name: str) -> np.ndarray:
        compared.append(name)
        return with_colours(frames, n_colours, name)

    monkeypatch.setattr("videogan.data.clips.with_colours", counted)
    for index in range(20):
        clips.batch(index)
    assert len(compared) == len(set(compared)) == len(set(clips.selection.shas))


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


def test_training_sees_no_clip_of_select_or_test_and_counts_its_labels(store):
    clips = TrainingClips(store, 8, 16, seed=0)
    select, test = store.select("select", 16), store.select("test", 16)
    groups = [set(part.groups) for part in (clips.selection, select, test)]
    assert [len(names) for names in groups] == [8, 4, 4]
    assert len(set().union(*groups)) == 16
    assert len(clips.selection) + len(select) + len(test) == len(store.manifest.usable)
    _, labels = zip(*[clips.batch(index) for index in range(4)], strict=True)
    assert torch.equal(torch.bincount(torch.cat(labels)), clips.label_counts), "one epoch of 32 clips"


def unequal(store, tmp_path):
    """The store's data set with most clips of all classes but one left out: the same files, unequal classes."""
    rows = store.manifest.usable.to_pylist()
    seen = {label: 0 for label in store.classes}
    kept = []
    for row in rows:
        seen[row["label"]] += row["split"] == "train"
        if row["label"] == "up" or row["split"] != "train" or seen[row["label"]] <= 2:
            kept.append({**row, "path": store.manifest.location(row["path"])})
    return open_cache(store.files.folder, write_manifest(tmp_path, kept))


def test_balanced_batches_show_each_class_equally_often_and_count_equal_labels(store, tmp_path):
    few = unequal(store, tmp_path)
    assert np.bincount(few.select("train", 16).labels).tolist() == [2, 2, 2, 8]
    clips = TrainingClips(few, 8, 16, seed=0, sampling="class_balanced")
    frames, labels = zip(*[clips.batch(index) for index in range(2)], strict=True)
    assert torch.bincount(torch.cat(labels)).tolist() == [4, 4, 4, 4]
    assert clips.label_counts.tolist() == [4, 4, 4, 4], "label_sampling=empirical draws fakes by these counts"
    shown = {clip.numpy().tobytes() for clip in torch.cat(frames)}
    assert len(shown) > 6 + 4, "windows of one clip differ in their start"
    assert TrainingClips(few, 10, 16, seed=0).label_counts.tolist() == [2, 2, 2, 8]


@pytest.mark.parametrize("sampling", ["shuffled", "class_balanced"])
@pytest.mark.parametrize(("batch_size", "n_before", "n_after"), [(4, 1, 2), (12, 3, 4), (8, 8, 1)])
def test_a_run_resumed_on_another_number_of_ranks_continues_with_the_same_global_batches(
    store, sampling, batch_size, n_before, n_after
):
    def batches(n_ranks, indices):
        ranks = [
            TrainingClips(store, batch_size, 16, seed=1, rank=rank, n_ranks=n_ranks, sampling=sampling)
            for rank in range(n_ranks)
        ]
        return [[torch.cat(column) for column in zip(*[r.batch(i) for r in ranks], strict=True)] for i in indices]

    uninterrupted = batches(1, range(9))
    continued = batches(n_before, range(4)) + batches(n_after, range(4, 9))
    for one, other in zip(uninterrupted, continued, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_matched_fakes_have_the_labels_of_the_real_batches(store):
    clips = TrainingClips(store, 12, 16, seed=0)
    model = {"family": "mvt", "n_classes": len(store.classes), "resolution": 32, "channels": 4, "gru_hidden": 16}
    values = {
        "model": {**model, "label_sampling": "match_real"},
        "loop": {"n_steps": 2, "batch_size": 12, "n_d": 2},
        "evaluation": {"protocol": "s3_r3d18_smoke_v2"},
    }
    training = Training(parse_config(RunConfig, values), lambda module: module, Shard(), torch.device("cpu"))
    fakes = []
    training.generator.register_forward_pre_hook(lambda module, inputs: fakes.append(inputs[1].tolist()))
    training.step_(2, clips)
    first, second = (clips.batch(index)[1].tolist() for index in (2, 3))
    assert first != second
    assert fakes == [first, second, second], "one for each update of the discriminators, then the generator's"


def test_an_unknown_sampling_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match=r"sampling: .*'shuffled' or 'class_balanced', got 'balanced'"):
        parse_config(DataConfig, {"sampling": "balanced"})


def test_centre_windows_are_the_middle_of_each_clip(store):
    frames, labels = centre_windows(store, "test", 16)
    selection = store.select("test", 16)
    assert labels.tolist() == selection.labels.tolist()
    for index, sha in enumerate(selection.shas):
        assert torch.equal(frames[index], torch.tensor(store.files.frames(sha)[2:18]))


def test_training_and_centre_windows_take_every_nth_frame_of_the_file(store):
    sparse = open_cache(store.files.folder, store.manifest, every_nth=2)
    clips = pickle.loads(pickle.dumps(TrainingClips(sparse, 4, 8, seed=1)))
    numbers, starts = clips.schedule.batch(5, 4)
    assert len(set(starts)) > 1
    frames, _ = clips.batch(5)
    for shown, number, start in zip(frames, numbers, starts, strict=True):
        whole = torch.tensor(store.files.frames(clips.selection.shas[number]))
        assert torch.equal(shown, whole[start : start + 15 : 2])
    centred, _ = centre_windows(sparse, "test", 8)
    for shown, sha in zip(centred, sparse.select("test", 8).shas, strict=True):
        assert torch.equal(shown, torch.tensor(store.files.frames(sha))[2:17:2])


@pytest.mark.parametrize("given", [0, -2, 1.5, "2", "relased", True, None])
def test_a_stride_is_a_whole_number_from_one_or_the_released_rule(given):
    assert [DataConfig(every_nth=n).every_nth for n in (1, 4, "released")] == [1, 4, "released"]
    with pytest.raises(ConfigurationError, match=r"every_nth: must be a whole number from 1, or released, got "):
        parse_config(DataConfig, {"every_nth": given})


def test_a_store_pickles_in_a_few_bytes_and_reopens(store):
    sent = pickle.dumps(store)
    assert len(sent) < 500
    assert pickle.loads(sent).manifest.digest == store.manifest.digest
    assert open_cache(store.files.folder, store.manifest.folder).classes == store.classes


def test_the_feed_is_a_stream_if_the_cache_would_exceed_its_limit(moving_shapes):
    decoded = 64 * 20 * 32 * 32 * 3
    assert DataConfig(cache_limit_gb=(decoded + 1) / 1e9).chosen_feed(moving_shapes, "plain_32") == "cache"
    assert DataConfig(cache_limit_gb=(decoded - 1) / 1e9).chosen_feed(moving_shapes, "plain_32") == "stream"
    assert DataConfig(feed="cache", cache_limit_gb=1e-9).chosen_feed(moving_shapes, "plain_32") == "cache"


def test_an_unknown_preprocessing_is_refused_before_anything_starts():
    with pytest.raises(ConfigurationError, match="plain_<size>"):
        parse_config(DataConfig, {"preprocessing": "tiny"})


def test_the_clips_of_one_class_are_all_that_its_generator_sees(store):
    clips = TrainingClips(store, 8, 16, seed=0, only_class=2)
    labels = torch.cat([clips.batch(index)[1] for index in range(4)])
    assert set(labels.tolist()) == {2}
    whole = TrainingClips(store, 8, 16, seed=0)
    assert len(clips.selection) == (whole.selection.labels == 2).sum()
    with pytest.raises(ConfigurationError, match=r"only_class must be a class with training clips, got 99"):
        TrainingClips(store, 8, 16, seed=0, only_class=99)


def copied(store: ClipStore, folder: Path) -> tuple[ClipStore, Path]:
    """A copy of the cache, and its shard with the first file."""
    shutil.copytree(store.files.folder, folder)
    files = open_cache(folder, store.manifest)
    sha = store.manifest.usable["sha"].to_pylist()[0]
    (shard,) = (path for path in folder.glob("*.arrow") if sha in files.files.shas_of(path.name))
    return files, shard


def flip(shard: Path, place: float) -> None:
    content = bytearray(shard.read_bytes())
    content[int(place * len(content))] ^= 4
    shard.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda shard: shard.write_bytes(shard.read_bytes()[:-1000]),
    "empty": lambda shard: shard.write_bytes(b""),
    "overwritten": lambda shard: shard.write_bytes(b"x" * shard.stat().st_size),
    "a bit flipped": lambda shard: flip(shard, random.Random(0).uniform(0.1, 0.9)),
    "replaced by a folder": lambda shard: (shard.unlink(), shard.mkdir()),
    "missing": lambda shard: shard.unlink(),
}


@pytest.mark.filterwarnings("ignore::videogan.storage.set_aside.DamagedFile")
@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_shard_is_decoded_again_to_the_same_frames(store, tmp_path, how: str):
    damaged, shard = copied(store, tmp_path / "cache")
    whole = shard.read_bytes()
    DAMAGES[how](shard)
    with pytest.raises(DamagedShard, match=rf"{shard.name}: this shard of the clip cache is damaged"):
        list(map(damaged.files.frames, damaged.files.shas_of(shard.name)))
    for split in ("train", "select", "test"):
        for one, other in zip(centre_windows(store, split, 16), centre_windows(damaged, split, 16), strict=True):
            assert torch.equal(one, other)
    assert shard.read_bytes() == whole
    assert shard.with_name(f"{shard.name}.damaged").exists() == (how != "missing")


@pytest.mark.filterwarnings("ignore::videogan.storage.set_aside.DamagedFile")
@pytest.mark.parametrize("how", ["cut", "empty", "overwritten", "a bit flipped"])
def test_a_shard_damaged_while_it_is_mapped_and_read_is_decoded_again(store, tmp_path, how: str):
    damaged, shard = copied(store, tmp_path / "cache")
    before = centre_windows(damaged, "train", 16)[0]
    DAMAGES[how](shard)  # in the same file, whose pages a read beyond its new end would miss
    with pytest.raises(DamagedShard, match=rf"{shard.name}: this shard of the clip cache is damaged"):
        list(map(damaged.files.frames, damaged.files.shas_of(shard.name)))
    assert torch.equal(centre_windows(damaged, "train", 16)[0], before)
    assert shard.with_name(f"{shard.name}.damaged").exists()


def test_a_shard_that_was_only_touched_stays_in_use(store, tmp_path):
    touched, shard = copied(store, tmp_path / "cache")
    before, written = centre_windows(touched, "train", 16)[0], shard.stat().st_ino
    os.utime(shard)
    assert torch.equal(centre_windows(touched, "train", 16)[0], before)
    assert shard.stat().st_ino == written


def test_a_damaged_shard_of_changed_videos_names_shard_and_video(store, tmp_path):
    rows = store.manifest.usable.to_pylist()
    videos = write_manifest(tmp_path / "data", [row | {"path": tmp_path / "data" / row["path"]} for row in rows])
    for row in rows:
        (tmp_path / "data" / row["path"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(store.manifest.location(row["path"]), tmp_path / "data" / row["path"])
    _, shard = copied(store, tmp_path / "cache")
    damaged = open_cache(tmp_path / "cache", videos)
    flip(shard, 0.53)  # within the frames of a clip
    (tmp_path / "data" / rows[0]["path"]).write_bytes(b"another video")
    with pytest.raises(DataError, match=rf"{shard.name}.*{rows[0]['path']} cannot be decoded: changed since"):
        list(map(damaged._frames, damaged.files.shas_of(shard.name)))

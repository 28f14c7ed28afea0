import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from videogan.data.cache import CachedFiles, cache_folder, cache_key, is_complete, staged, write_index, write_shard
from videogan.data.decode import decode, preprocessing_named
from videogan.data.manifest import DataError, write_manifest

PLAIN = preprocessing_named("plain_32")


def build(folder: Path, value: int) -> None:
    with staged(folder) as staging:
        name, shas = write_shard(staging, [("a", np.full((2, 4, 4, 3), value, np.uint8))])
        write_index(staging, PLAIN, {name: shas}, {"b": "empty file"})


def test_cached_files_equal_what_decodes(store, moving_shapes):
    for row in moving_shapes.usable.to_pylist()[::9]:
        frames = store.files.frames(row["sha"])
        np.testing.assert_array_equal(frames, decode(moving_shapes.location(row["path"]), PLAIN))
        assert not frames.flags.owndata, "a view of the mapped file"
        assert not frames.flags.writeable


def test_of_two_builders_one_cache_remains(tmp_path):
    folder = tmp_path / "cache"
    with staged(folder) as slow:
        build(folder, 1)
        name, shas = write_shard(slow, [("a", np.zeros((2, 4, 4, 3), np.uint8))])
        write_index(slow, PLAIN, {name: shas}, {})
    assert CachedFiles(folder).frames("a").max() == 1, "the first one to finish"
    assert os.listdir(tmp_path) == ["cache"]


def test_a_half_written_cache_is_never_taken_for_whole(tmp_path):
    folder = tmp_path / "cache"

    def interrupted_clips():
        yield "a", np.zeros((2, 4, 4, 3), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), staged(folder) as staging:
        write_shard(staging, interrupted_clips())
    assert not is_complete(folder)
    assert not os.listdir(tmp_path)
    with pytest.raises(DataError, match="no finished clip cache"):
        CachedFiles(folder)


def test_a_shard_out_of_sight_is_an_error_with_the_remedy(tmp_path):
    with pytest.raises(DataError, match="VGSEARCH_CACHE"):
        write_index(tmp_path, PLAIN, {"elsewhere.arrow": ["a"]}, {})


def test_cached_files_pickle_as_their_folder(tmp_path):
    build(tmp_path / "cache", 7)
    files = CachedFiles(tmp_path / "cache")
    assert files.frames("a").max() == 7
    sent = pickle.dumps(files)
    assert len(sent) < 500
    assert pickle.loads(sent).frames("a").max() == 7
    assert pickle.loads(sent).skipped == {"b": "empty file"}


def test_the_key_follows_content_and_size_but_not_labels(tmp_path):
    def manifest(name, **columns):
        row = {"path": "a", "label": "x", "group": "g", "split": "train", "n_frames": 20, "sha": "1"}
        return write_manifest(tmp_path / name, [row | columns])

    key = cache_key(manifest("one"), PLAIN)
    assert cache_key(manifest("relabelled", label="y", split="test"), PLAIN) == key
    assert cache_key(manifest("other", sha="2"), PLAIN) != key
    assert cache_key(manifest("one"), preprocessing_named("plain_64")) != key


def test_the_cache_lies_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path))
    assert cache_folder("clips") == tmp_path / "clips"
    monkeypatch.delenv("VGSEARCH_CACHE")
    assert cache_folder("clips").parts[-2:] == ("vgsearch", "clips")

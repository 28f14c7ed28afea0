import json
import multiprocessing
import os
import pickle
import pwd
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from videogan.config import ConfigurationError
from videogan.data.cache import (
    CLIPS_PER_SHARD,
    INDEX_NAME,
    CachedFiles,
    ClipShard,
    DamagedShard,
    cache_folder,
    cache_key,
    is_complete,
    is_usable,
    local_cache_folder,
    missing_shards,
    planned_shards,
    write_index,
    write_shard,
)
from videogan.data.decode import decode
from videogan.data.manifest import DataError, write_manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.storage.places import RemotePath

PLAIN = preprocessing_named("plain_32")
SPAWN = multiprocessing.get_context("spawn")
SHARDS = planned_shards([f"{number:03d}" for number in range(5 * CLIPS_PER_SHARD - 3)])


def clip(sha: str) -> np.ndarray:
    return np.full((2, 4, 4, 3), int(sha), np.uint8)


def fill(folder: Path, shard: ClipShard) -> None:
    write_shard(folder, shard, ((sha, clip(sha)) for sha in shard.shas))


def build(folder: Path) -> None:
    """Build the cache in this process: the missing shards, then the index."""
    for shard in missing_shards(folder, SHARDS):
        fill(folder, shard)
    write_index(folder, PLAIN, SHARDS)


def written(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and modification time of each shard."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("*.arrow")}


def killed_in_the_third_shard(folder: Path) -> None:
    fill(folder, SHARDS[0])
    fill(folder, SHARDS[1])

    def clips():
        yield SHARDS[2].shas[0], clip(SHARDS[2].shas[0])
        os.kill(os.getpid(), signal.SIGKILL)

    write_shard(folder, SHARDS[2], clips())


def test_cached_files_equal_what_decodes(store, moving_shapes):
    for row in moving_shapes.usable.to_pylist()[::9]:
        frames = store.files.frames(row["sha"])
        np.testing.assert_array_equal(frames, decode(moving_shapes.location(row["path"]), PLAIN))
        assert not frames.flags.owndata, "a view of the mapped file"
        assert not frames.flags.writeable


def test_each_file_is_in_one_shard_and_the_names_depend_only_on_the_content():
    shas = [sha for shard in SHARDS for sha in shard.shas]
    assert len(shas) == len(set(shas)) == 77
    assert max(len(shard.shas) for shard in SHARDS) == CLIPS_PER_SHARD
    assert planned_shards(shas + shas[:20]) == SHARDS, "a file that is listed twice is decoded once"
    assert len({shard.name for shard in SHARDS}) == len(SHARDS)
    assert ClipShard(("a", "b")).name != ClipShard(("b", "a")).name, "the order of rows matters"


def test_a_build_that_is_killed_leaves_its_shards_to_the_next(tmp_path):
    folder = tmp_path / "cache"
    process = SPAWN.Process(target=killed_in_the_third_shard, args=(folder,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not is_complete(folder)
    with pytest.raises(DataError, match="clip cache is unfinished"):
        CachedFiles(folder)
    assert missing_shards(folder, SHARDS) == SHARDS[2:], "an unfinished shard does not appear"
    assert len(list(folder.glob(".*.part"))) == 1
    kept = written(folder)
    build(folder)
    assert written(folder).items() >= kept.items(), "not written again"
    assert sorted(os.listdir(folder)) == sorted([INDEX_NAME, *(shard.name for shard in SHARDS)]), "swept up"
    assert all(CachedFiles(folder).frames(sha).max() == int(sha) for shard in SHARDS for sha in shard.shas)


def test_an_interrupted_shard_does_not_appear(tmp_path):
    def interrupted_clips():
        yield "000", clip("000")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path, SHARDS[0], interrupted_clips())
    assert not os.listdir(tmp_path)


def test_two_processes_build_one_cache(tmp_path):
    folder = tmp_path / "cache"
    builders = [SPAWN.Process(target=build, args=(folder,)) for _ in range(2)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert [builder.exitcode for builder in builders] == [0, 0]
    assert sorted(os.listdir(folder)) == sorted([INDEX_NAME, *(shard.name for shard in SHARDS)])
    assert all(CachedFiles(folder).frames(sha).max() == int(sha) for shard in SHARDS for sha in shard.shas)


def test_a_builder_whose_part_file_was_removed_accepts_the_other_builders_shard(tmp_path):
    def clips_while_another_finishes():
        yield "000", clip("000")
        build(tmp_path)  # and deletes this one's .part file
        yield from ((sha, clip(sha)) for sha in SHARDS[0].shas[1:])

    write_shard(tmp_path, SHARDS[0], clips_while_another_finishes())
    assert pa.ipc.open_file(pa.memory_map(str(tmp_path / SHARDS[0].name))).num_record_batches == CLIPS_PER_SHARD


def test_undecodable_files_are_reported_with_the_reason_also_by_a_later_build(tmp_path):
    shard = ClipShard(("001", "bad", "003"))
    write_shard(tmp_path, shard, [("001", clip("001")), ("bad", "empty file"), ("003", clip("003"))])
    write_index(tmp_path, PLAIN, [shard])
    files = CachedFiles(tmp_path)
    assert files.skipped == {"bad": "empty file"}
    assert len(files) == 2
    assert files.frames("003").max() == 3, "the row after the one left out"


def test_a_missing_shard_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(DataError, match="VGSEARCH_CACHE"):
        write_index(tmp_path, PLAIN, SHARDS)
    assert not is_complete(tmp_path)


def test_cached_files_pickle_as_their_folder(tmp_path):
    build(tmp_path / "cache")
    files = CachedFiles(tmp_path / "cache")
    assert files.frames("007").max() == 7
    sent = pickle.dumps(files)
    assert len(sent) < 500
    assert pickle.loads(sent).frames("007").max() == 7


def test_a_cache_in_memory_storage_is_copied_shard_by_shard_and_read_from_there(monkeypatch, tmp_path):
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path))
    folder = RemotePath("memory://caches", "two/builds")
    fill(folder, SHARDS[0])
    assert missing_shards(folder, SHARDS) == SHARDS[1:]
    assert not is_complete(folder)
    build(folder)
    files = pickle.loads(pickle.dumps(CachedFiles(folder)))
    frames = files.frames(SHARDS[1].shas[3])
    assert frames.max() == int(SHARDS[1].shas[3])
    assert not frames.flags.owndata, "mapped"
    assert os.listdir(tmp_path / "mirrored" / "builds") == [SHARDS[1].name], "nothing more was loaded"
    assert json.loads((folder / INDEX_NAME).read_bytes())["preprocessing"] == PLAIN.name


def test_the_key_depends_on_content_and_size_but_not_labels(tmp_path):
    def manifest(name, **columns):
        row = {"path": "a", "label": "x", "group": "g", "split": "train", "n_frames": 20, "sha": "1"}
        return write_manifest(tmp_path / name, [row | columns])

    key = cache_key(manifest("one"), PLAIN)
    assert cache_key(manifest("relabelled", label="y", split="test"), PLAIN) == key
    assert cache_key(manifest("other", sha="2"), PLAIN) != key
    assert cache_key(manifest("one"), preprocessing_named("plain_64")) != key


def test_the_cache_is_in_the_users_chosen_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path))
    assert cache_folder("clips") == local_cache_folder("clips") == tmp_path / "clips"
    monkeypatch.setenv("VGSEARCH_CACHE", "s3://bucket/cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert str(cache_folder("clips")) == "s3://bucket/cache/clips"
    assert local_cache_folder("data") == tmp_path / "vgsearch" / "data"
    monkeypatch.delenv("VGSEARCH_CACHE")
    assert cache_folder("clips").parts[-2:] == ("vgsearch", "clips")


def test_a_user_without_a_name_and_a_home_is_told_to_set_one(monkeypatch: pytest.MonkeyPatch):
    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "VGSEARCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match=r"^this user has no home folder: .* Set HOME to a folder"):
        cache_folder("clips")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder("clips") == Path("/caches/vgsearch/clips")


@pytest.mark.parametrize("content", [b"", b'{"preprocessing": "plain_32"', b"[]", b'{"shards": {}}', b"\x00\xff", None])
def test_a_damaged_index_is_set_aside_and_written_again(tmp_path, content):
    build(tmp_path)
    index = tmp_path / INDEX_NAME
    whole = index.read_bytes()
    index.unlink()
    index.mkdir() if content is None else index.write_bytes(content)
    with pytest.raises(DataError, match=r"index.json must be the index of a clip cache"):
        CachedFiles(tmp_path)
    with pytest.warns(RuntimeWarning, match=r"index.json must be the index .* aside as index.json.damaged"):
        assert not is_usable(tmp_path)
    build(tmp_path)
    assert (index.read_bytes(), is_usable(tmp_path)) == (whole, True)


def test_an_index_of_missing_shards_is_set_aside_and_only_they_are_decoded(tmp_path):
    build(tmp_path)
    (tmp_path / SHARDS[1].name).unlink()
    with pytest.warns(RuntimeWarning, match=rf"names 1 shards that are missing, such as {SHARDS[1].name}"):
        assert not is_usable(tmp_path)
    assert missing_shards(tmp_path, SHARDS) == [SHARDS[1]]


def test_a_shard_with_a_damaged_list_of_skipped_files_is_decoded_again(tmp_path):
    def clips():
        yield SHARDS[0].shas[0], "no video stream"
        yield from ((sha, clip(sha)) for sha in SHARDS[0].shas[1:])

    write_shard(tmp_path, SHARDS[0], clips())
    assert missing_shards(tmp_path, SHARDS[:1]) == []
    (tmp_path / SHARDS[0].skipped_name).write_bytes(b'{"000": "no vi')
    assert missing_shards(tmp_path, SHARDS[:1]) == SHARDS[:1]


def test_a_shard_whose_list_of_skipped_files_is_lost_gives_no_other_clip(tmp_path):
    write_shard(tmp_path, SHARDS[0], ((sha, clip(sha) if sha != "000" else "no stream") for sha in SHARDS[0].shas))
    (tmp_path / SHARDS[0].skipped_name).unlink()
    write_index(tmp_path, PLAIN, SHARDS[:1])
    with pytest.raises(DamagedShard, match="the checksum of clip 1 is wrong"):
        CachedFiles(tmp_path).frames("001")

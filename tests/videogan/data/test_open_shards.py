"""Caches have more shards than a process may open files."""

from pathlib import Path

import numpy as np
import pytest

from videogan.data import cache
from videogan.data.preprocessing import preprocessing_named


def test_a_cache_of_more_shards_than_open_files_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cache, "MAX_OPEN_SHARDS", 2)
    shards = [cache.ClipShard((f"{number}",)) for number in range(5)]
    for number, shard in enumerate(shards):
        cache.write_shard(tmp_path, shard, [(f"{number}", np.full((16, 32, 32, 3), number, np.uint8))])
    cache.write_index(tmp_path, preprocessing_named("plain_32"), shards)
    files = cache.CachedFiles(tmp_path)
    held = files.frames("0")
    for number in (*range(5), *reversed(range(5))):
        assert (files.frames(str(number)) == number).all()
    assert (held == 0).all(), "a view outlives its shard's reader"
    own = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink() and link.readlink().parent == tmp_path]
    assert len(own) <= 3, "two readers and the view"

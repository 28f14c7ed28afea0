import json
from pathlib import Path

import pytest

from vgsearch.runtime.data import (
    build_cache,
    inspect_videos,
)
from videogan.data.clips import DataConfig, open_cache
from videogan.data.decode import Limits
from videogan.data.manifest import DataError, write_manifest
from videogan.data.synthetic import make_moving_shapes

SHARED = Path(__file__).parents[4] / "shared" / "data"
WINDOW = 16


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return make_moving_shapes(tmp_path_factory.mktemp("data") / "shapes", n_clips_each=1, n_frames=20)


def test_the_cache_is_built_once_and_reports_every_clip(ray_cluster, manifest, monkeypatch, tmp_path):
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path))
    seen = []
    folder = build_cache(manifest, "plain_32", DataConfig(), lambda done, total: seen.append((done, total)))
    assert seen == [(n, 64) for n in range(1, 65)]
    assert len(open_cache(folder, manifest).files) == 64
    assert build_cache(manifest, "plain_32", DataConfig(), lambda *_: pytest.fail("decoded again")) == folder


def test_a_file_that_does_not_decode_is_skipped_and_a_changed_one_is_an_error(
    ray_cluster, manifest, monkeypatch, tmp_path
):
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path / "cache"))
    rows = [row | {"path": str(manifest.location(row["path"]))} for row in manifest.usable.to_pylist()[:4]]
    strict = DataConfig(max_seconds=0.1)
    folder = build_cache(write_manifest(tmp_path / "four", rows), "plain_32", strict)
    store = open_cache(folder, tmp_path / "four")
    assert set(store.files.skipped) == {row["sha"] for row in rows}
    with pytest.raises(DataError, match=r"no usable clip.*data\.max_seconds allows 0\.1"):
        store.select("train", WINDOW)

    changed = write_manifest(tmp_path / "changed", [*rows[:3], rows[3] | {"sha": "0" * 64}])
    with pytest.raises(DataError, match="changed since the manifest was made"):
        build_cache(changed, "plain_32", DataConfig())


def test_bad_files_are_told_apart_from_good_ones(ray_cluster, manifest, tmp_path):
    good = manifest.location(manifest.usable["path"][0].as_py())
    (tmp_path / "bad.mp4").write_text("no video")
    found = inspect_videos([good, tmp_path / "bad.mp4", tmp_path / "gone.mp4"], Limits(), lambda done, total: None)
    assert found[good]["skipped"] is None
    assert found[good]["n_frames"] == 20
    assert "not a video" in found[tmp_path / "bad.mp4"]["skipped"]
    assert found[tmp_path / "gone.mp4"]["skipped"] == "no such file"
    assert "path" not in found[good], "the key is the path; a row of its own would replace the caller's"


def test_every_real_clip_is_read_or_skipped_with_its_reason(ray_cluster):
    if not (SHARED / "clips").is_dir():
        pytest.skip(f"no real clips at {SHARED}")
    paths = sorted((SHARED / "clips").iterdir())
    found = inspect_videos(paths, Limits(), lambda done, total: None)
    assert sorted(found) == paths
    assert all(row["n_frames"] > 0 or row["skipped"] for row in found.values())
    assert found[SHARED / "clips" / "corrupted.mp4"]["warning"].startswith("28 of 50 frames decode")
    json.dumps(list(found.values()))

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from vgsearch.runtime.feed import decode as data
from vgsearch.runtime.feed.decode import build_cache, inspect_videos
from videogan.data.cache import clip_cache_folder, is_complete
from videogan.data.clips import DataConfig, open_cache
from videogan.data.decode import Limits
from videogan.data.journal import journal_folder
from videogan.data.manifest import DataError, write_manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.data.synthetic import make_moving_shapes

SHARED = Path(__file__).parents[5] / "shared" / "data"
WINDOW = 16

# A real process that kills itself in the callback that reports progress. Its workers survive it for a moment, so they
# wait before they finish everything: an import's at its last folder, a cache's at its eighth shard.
PROGRAM = """
import os, sys, time
from pathlib import Path
from vgsearch.runtime.cluster.cluster import connect
from vgsearch.runtime.feed import decode
from vgsearch.runtime.feed.decode import build_cache, inspect_videos
from videogan.data import cache
from videogan.data.clips import DataConfig
from videogan.data.decode import Limits
from videogan.data.manifest import read_manifest
cache.CLIPS_PER_SHARD = 4
task, folder, deadly, last = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
inspected, decode_shard = decode._inspected, decode._decode_shard
def inspected_but_the_last(batch, **options):
    if any(path.startswith(str(folder / "last")) for path in map(str, batch["path"])):
        time.sleep(600)
    return inspected(batch, **options)
def eight_shards(row, folder, **options):
    if len(list(Path(folder).glob("*.arrow"))) >= 8:
        time.sleep(600)
    return decode_shard(row, folder=folder, **options)
if deadly:
    decode._inspected, decode._decode_shard = inspected_but_the_last, eight_shards
def on_progress(done, total):
    if deadly and done >= last:
        os.kill(os.getpid(), deadly)
with connect():
    if task == "import":
        inspect_videos(sorted(folder.rglob("*.mp4")), Limits(), on_progress)
    else:
        build_cache(read_manifest(folder), "plain_32", DataConfig(), on_progress)
"""


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return make_moving_shapes(tmp_path_factory.mktemp("data") / "shapes", n_clips_each=1, n_groups=16, n_frames=20)


def start(task: str, folder: Path, cache: Path, deadly: int = 0, last: int = 0) -> subprocess.Popen:
    """Starts a process that works on `folder` and sends itself the signal `deadly` when `last` clips are done."""
    environment = os.environ | {"VGSEARCH_CACHE": str(cache)}
    command = [sys.executable, "-c", PROGRAM, task, str(folder), str(deadly), str(last)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_the_last_worker(cache: Path) -> None:
    """Waits for Ray's processes, which survive a killed driver for a moment; their environment names the cache."""
    deadline = time.monotonic() + 300
    while any(_works_for(process, cache) for process in psutil.process_iter()):
        assert time.monotonic() < deadline, "workers of a killed driver still run"
        time.sleep(0.1)


def _works_for(process: psutil.Process, cache: Path) -> bool:
    try:
        return process.environ().get("VGSEARCH_CACHE") == str(cache)
    except (psutil.Error, OSError):
        return False


def inspections(cache: Path) -> list[Path]:
    """The file of every inspection, unordered."""
    journals = (cache / "inspections").glob("*/*")
    return [Path(json.loads(line)[0]) for journal in journals for line in journal.read_text().splitlines() if line]


def shards(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("*.arrow")}


@pytest.mark.slow
def test_a_killed_import_resumes_without_decoding_a_file_twice(ray_cluster, manifest, monkeypatch, tmp_path):
    cache, videos = tmp_path / "cache", manifest.table["path"].to_pylist()
    for copy in ("a", "b", "last"):
        (tmp_path / "many" / copy).mkdir(parents=True)
        for number, path in enumerate(videos):
            os.link(manifest.location(path), tmp_path / "many" / copy / f"{number}.mp4")
    assert start("import", tmp_path / "many", cache, signal.SIGKILL, last=32).wait(300) == -signal.SIGKILL
    wait_for_the_last_worker(cache)
    n_done = len(inspections(cache))
    assert 32 <= n_done <= 128
    monkeypatch.setenv("VGSEARCH_CACHE", str(cache))
    paths, seen = sorted((tmp_path / "many").rglob("*.mp4")), []
    found = inspect_videos(paths, Limits(), lambda done, total: seen.append((done, total)))
    assert seen[0] == (n_done, 192), "the bar begins where the killed import stood"
    assert seen[-1] == (192, 192)
    assert {row["sha"] for row in found.values()} == set(manifest.usable["sha"].to_pylist())
    assert sorted(inspections(cache)) == paths, "each file was decoded once, by the one or the other"
    assert inspect_videos(paths, Limits(), lambda done, total: None) == found
    assert len(inspections(cache)) == 192, "nothing is left to decode"


def test_a_file_that_crashes_the_decoder_loses_no_other_file(ray_cluster, manifest, monkeypatch, tmp_path):
    paths = sorted(manifest.folder.rglob("*.mp4"))[:20]
    deadly, inspected = str(paths[9]), data._inspected

    def crashing(batch, limits, journal):
        if deadly in batch["path"]:
            os.kill(os.getpid(), signal.SIGSEGV)
        return inspected(batch, limits, journal)

    monkeypatch.setattr(data, "_inspected", crashing)
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path))
    seen = []
    found = inspect_videos(paths, Limits(), lambda done, total: seen.append((done, total)))
    assert set(found) == set(paths)
    assert {path for path, row in found.items() if row["skipped"]} == {paths[9]}
    assert found[paths[9]]["skipped"] == "the decoder crashed on it, twice"
    assert all(found[path]["n_frames"] == 20 for path in paths if path != paths[9])
    assert seen[-1] == (20, 20)


@pytest.mark.slow
def test_a_cache_whose_builder_is_killed_is_finished_from_its_shards(ray_cluster, manifest, monkeypatch, tmp_path):
    monkeypatch.setattr("videogan.data.cache.CLIPS_PER_SHARD", 4)
    assert start("cache", manifest.folder, tmp_path, signal.SIGKILL, last=4).wait(300) == -signal.SIGKILL
    wait_for_the_last_worker(tmp_path)
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path))
    folder = clip_cache_folder(manifest, preprocessing_named("plain_32"))
    assert not is_complete(folder)
    kept = shards(folder)
    assert 1 <= len(kept) < 16
    seen = []
    assert build_cache(manifest, "plain_32", DataConfig(), lambda done, total: seen.append(done)) == folder
    assert seen == list(range(4 * len(kept), 65, 4))
    assert len(shards(folder)) == 16
    assert shards(folder).items() >= kept.items(), "not written again"
    assert len(open_cache(folder, manifest).files) == 64


@pytest.mark.slow
def test_two_concurrent_builders_make_one_cache_after_an_interrupted_third(manifest, tmp_path):
    assert start("cache", manifest.folder, tmp_path, signal.SIGINT, last=4).wait(300) != 0
    builders = [start("cache", manifest.folder, tmp_path) for _ in range(2)]
    outputs = [builder.communicate(timeout=300) for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0], outputs
    (folder,) = (tmp_path / "clips").iterdir()
    assert len(shards(folder)) == 16
    assert not list(folder.glob(".*"))
    assert len(open_cache(folder, manifest).files) == 64


def test_the_cache_is_built_once_and_reports_every_clip(ray_cluster, manifest, monkeypatch, tmp_path):
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path))
    seen = []
    folder = build_cache(manifest, "plain_32", DataConfig(), lambda done, total: seen.append((done, total)))
    assert seen == [(n, 64) for n in (16, 32, 48, 64)]
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


def test_bad_files_are_skipped_with_their_reason(ray_cluster, manifest, tmp_path):
    good = manifest.location(manifest.usable["path"][0].as_py())
    (tmp_path / "bad.mp4").write_text("no video")
    found = inspect_videos([good, tmp_path / "bad.mp4", tmp_path / "gone.mp4"], Limits(), lambda done, total: None)
    assert found[good]["skipped"] is None
    assert found[good]["n_frames"] == 20
    assert "not a video" in found[tmp_path / "bad.mp4"]["skipped"]
    assert found[tmp_path / "gone.mp4"]["skipped"] == "no such file"
    assert "path" not in found[good], "the key is the path; a path in the row would replace the caller's"


def test_only_new_or_changed_files_are_inspected_again(ray_cluster, manifest, monkeypatch, tmp_path):
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path / "cache"))
    good, other = (manifest.location(path).read_bytes() for path in manifest.usable["path"].to_pylist()[:2])
    paths = [tmp_path / name for name in ("a.mp4", "b.mp4", "c.mp4")]
    for path in paths[:2]:
        path.write_bytes(good)
    first = inspect_videos(paths, Limits(), lambda done, total: None)
    assert first[paths[2]]["skipped"] == "no such file"
    times = paths[1].stat()
    paths[1].write_bytes(other[: len(good)].ljust(len(good), b"\0"))
    os.utime(paths[1], ns=(times.st_atime_ns, times.st_mtime_ns))
    paths[2].write_bytes(other)
    found = inspect_videos(paths, Limits(), lambda done, total: None)
    assert found[paths[0]] == first[paths[0]]
    assert found[paths[1]]["sha"] != first[paths[1]]["sha"], "same size and time of content, but written to"
    assert found[paths[2]]["n_frames"] == 20
    assert sorted(path.name for path in inspections(tmp_path / "cache")) == [
        "a.mp4",
        "b.mp4",
        "b.mp4",
        "c.mp4",
        "c.mp4",
    ]
    assert journal_folder(paths, Limits()) != journal_folder(paths, Limits(max_seconds=1)), (
        "limits decide what is found"
    )


def test_every_real_clip_is_read_or_skipped_with_its_reason(ray_cluster):
    if not (SHARED / "clips").is_dir():
        pytest.skip(f"no real clips at {SHARED}")
    paths = sorted((SHARED / "clips").iterdir())
    found = inspect_videos(paths, Limits(), lambda done, total: None)
    assert sorted(found) == paths
    assert all(row["n_frames"] > 0 or row["skipped"] for row in found.values())
    assert found[SHARED / "clips" / "corrupted.mp4"]["warning"].startswith("28 of 50 frames decode")
    json.dumps(list(found.values()))

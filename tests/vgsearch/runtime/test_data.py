import json
from pathlib import Path

import pytest
import torch

from vgsearch.runtime.data import (
    StreamedClips,
    build_cache,
    inspect_videos,
    refuse_starved_stream,
    stream_data_config,
    stream_datasets,
    stream_name,
    stream_plan,
    streamed_centre_windows,
)
from videogan.config import ConfigurationError
from videogan.data.clips import DataConfig, TrainingClips, centre_windows, open_cache
from videogan.data.decode import Limits
from videogan.data.manifest import DataError, write_manifest
from videogan.data.synthetic import make_moving_shapes

SHARED = Path(__file__).parents[4] / "shared" / "data"
BATCH, WINDOW = 8, 16


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return make_moving_shapes(tmp_path_factory.mktemp("data") / "shapes", n_clips_each=1, n_frames=20)


@pytest.fixture(scope="module")
def store(ray_cluster, manifest, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGSEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield open_cache(build_cache(manifest, "plain_32", DataConfig()), manifest)


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


def test_a_stream_brings_the_same_batches_as_the_cache(store, manifest):
    plan = stream_plan(manifest, "plain_32", DataConfig(), BATCH, WINDOW, seed=3)
    cached = TrainingClips(store, BATCH, WINDOW, seed=3)
    # A run resumed at batch 2 whose loop asks from batch 3 on.
    stream = stream_datasets(plan, n_batches=8, start=2)[stream_name(0)]
    with StreamedClips(plan, stream.iterator()) as streamed:
        assert streamed.n_clips == cached.n_clips
        assert torch.equal(streamed.label_counts, cached.label_counts)
        for index in range(3, 8):
            for one, other in zip(streamed.batch(index), cached.batch(index), strict=True):
                assert torch.equal(one, other)
                assert one.dtype == other.dtype
        with pytest.raises(ValueError, match="batch 4 is not ahead"):
            streamed.batch(4)


def test_streamed_centre_windows_equal_the_cached_ones(store):
    streamed = streamed_centre_windows(store.select("test", WINDOW), "plain_32", Limits(), WINDOW)
    for one, other in zip(streamed, centre_windows(store, "test", WINDOW), strict=True):
        assert torch.equal(one, other)


def test_each_train_worker_streams_its_part_of_the_global_batch(store, manifest, tmp_path):
    import ray.train
    from ray.train.torch import TorchTrainer

    plan = stream_plan(manifest, "plain_32", DataConfig(), BATCH, WINDOW, seed=3)

    def loop(config):
        rank = ray.train.get_context().get_world_rank()
        with StreamedClips(plan, ray.train.get_dataset_shard(stream_name(rank)), rank, n_ranks=2) as clips:
            torch.save([clips.batch(index) for index in range(3)], f"{config['out']}/{rank}.pt")

    TorchTrainer(
        loop,
        train_loop_config={"out": str(tmp_path)},
        datasets=stream_datasets(plan, n_batches=3, n_ranks=2),
        dataset_config=stream_data_config(),
        scaling_config=ray.train.ScalingConfig(num_workers=2, resources_per_worker={"CPU": 0.5}),
        run_config=ray.train.RunConfig(name="stream", storage_path=str(tmp_path / "runs")),
    ).fit()
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    cached = TrainingClips(store, BATCH, WINDOW, seed=3)
    for index in range(3):
        for which, expected in enumerate(cached.batch(index)):
            assert torch.equal(torch.cat([part[index][which] for part in parts]), expected)


def test_a_stream_with_no_cpu_left_is_refused_with_the_remedy():
    refuse_starved_stream(n_cpus=2, n_reserved=1)
    with pytest.raises(ConfigurationError, match=r"the cluster has 2 and they reserve 2\. Lower --workers-per-trial"):
        refuse_starved_stream(n_cpus=2, n_reserved=2)


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

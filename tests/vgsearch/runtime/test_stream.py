import pytest
import torch

from vgsearch.runtime.data import build_cache
from vgsearch.runtime.stream import (
    StreamedClips,
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
from videogan.data.synthetic import make_moving_shapes

BATCH, WINDOW = 8, 16


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return make_moving_shapes(tmp_path_factory.mktemp("data") / "shapes", n_clips_each=1, n_frames=20)


@pytest.fixture(scope="module")
def store(ray_cluster, manifest, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGSEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield open_cache(build_cache(manifest, "plain_32", DataConfig()), manifest)


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

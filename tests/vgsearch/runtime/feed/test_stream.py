import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch

from tests.vgsearch.runtime.feed.deadly_plans import CrashingPlan, OnceKilledPlan
from vgsearch.runtime.feed.decode import build_cache
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.feed.stream import (
    StreamedClips,
    StreamPlan,
    WindowStream,
    refuse_starved_stream,
    stream_data_config,
    stream_datasets,
    stream_name,
    stream_plan,
)
from videogan.classifiers.fit import Recipe
from videogan.config import ConfigurationError
from videogan.data.clip_set import RealClips, all_windows, in_batches
from videogan.data.clips import DataConfig, TrainingClips, centre_windows, open_cache
from videogan.data.decode import Limits
from videogan.data.manifest import DataError
from videogan.data.moving_mnist import make_moving_mnist
from videogan.data.synthetic import make_moving_shapes
from videogan.protocols.classifier import ClassifierProtocol, fit_on_real

BATCH, WINDOW = 8, 16


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return make_moving_shapes(tmp_path_factory.mktemp("data") / "shapes", n_clips_each=1, n_groups=16, n_frames=20)


@pytest.fixture(scope="module")
def store(ray_cluster, manifest, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGSEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield open_cache(build_cache(manifest, "plain_32", DataConfig()), manifest)


def test_a_stream_has_the_same_batches_as_the_cache(store, manifest):
    plan = stream_plan(manifest, "plain_32", DataConfig(), BATCH, WINDOW, seed=3)
    cached = TrainingClips(store, BATCH, WINDOW, seed=3)
    # A run resumed at batch 2 whose loop asks from batch 3 on.
    stream = stream_datasets(plan, n_batches=8, start=2)[stream_name(0)]
    with StreamedClips(plan, stream.iterator()) as streamed:
        assert len(streamed.plan.selection) == len(cached.selection)
        assert torch.equal(streamed.label_counts, cached.label_counts)
        assert streamed.manifest_digest == cached.manifest_digest == manifest.digest
        for index in range(3, 8):
            for one, other in zip(streamed.batch(index), cached.batch(index), strict=True):
                assert torch.equal(one, other)
                assert one.dtype == other.dtype
        with pytest.raises(ValueError, match="batch 4 has already passed"):
            streamed.batch(4)


def test_windows_of_real_clips_are_the_same_from_the_stream_and_the_cache(store, manifest):
    cached, streamed = (
        Inputs(str(manifest.folder), "plain_32", cache).real_clips(DataConfig(), WINDOW, "test")
        for cache in (str(store.files.folder), None)
    )
    rows = torch.tensor([5, 0, 5, 3])
    requests = [(rows, draw) for draw in (3, 0)] + list(in_batches(len(cached), 7, draw=1))
    for choose in (lambda clips: clips.random(9), lambda clips: clips.spaced(4)):
        pairs = list(zip(*(choose(clips).windows(requests) for clips in (cached, streamed)), strict=True))
        assert [len(one) for one, _ in pairs] == [len(chosen) for chosen, _ in requests]
        assert all(torch.equal(one, other) and one.dtype == other.dtype for one, other in pairs)


def test_a_stream_names_a_video_that_changed_since_the_import(tmp_path):
    manifest = make_moving_shapes(tmp_path / "shapes", n_clips_each=1, n_groups=16, n_frames=20)
    plan = stream_plan(manifest, "plain_32", DataConfig(), BATCH, WINDOW, seed=3)
    ((frames, _),) = plan.decoded(np.array([0]))
    assert frames.shape == (WINDOW, 32, 32, 3)
    clip = int(plan.schedule.at(np.array([0]))[0][0])
    other = next(n for n, label in enumerate(plan.selection.labels) if label != plan.selection.labels[clip])
    video = Path(plan.selection.paths[clip])
    video.write_bytes(Path(plan.selection.paths[other]).read_bytes())
    with pytest.raises(DataError, match=rf"{video.name}: changed since the manifest was made. Restore it, or make"):
        list(plan.decoded(np.array([0])))
    video.unlink()
    with pytest.raises(DataError, match=rf"{video.name}: no such file"):
        list(plan.decoded(np.array([0])))


def streamed(store, split: str, n_frames: int = WINDOW) -> RealClips:
    return RealClips(store.select(split, n_frames), n_frames, 32, WindowStream("plain_32", Limits()).read)


def test_a_reader_that_stops_early_leaves_a_stream_that_can_be_read_again(store):
    clips = streamed(store, "test").random(1)
    asked = [(torch.tensor([n]), 0) for n in range(8)]
    first = next(clips.windows(asked))
    assert torch.equal(first, next(store.real_clips("test", WINDOW).random(1).windows(asked)))
    assert torch.equal(all_windows(clips), all_windows(store.real_clips("test", WINDOW).random(1)))


def test_a_classifier_fitted_on_the_stream_is_bit_for_bit_that_of_the_cache(store):
    recipe = Recipe(lr=0.05, batch_size=16, max_epochs=2, patience=2, n_windows=2, precision="fp32")
    settings = {"classifier": "r3d18", "width": 2, "dropout": 0.0, "size": None, "test_windows": 2}
    protocol = ClassifierProtocol(**settings, recipe=recipe)
    ours, theirs = (
        fit_on_real(protocol, of("train"), {"test": of("test")}, seed=0)
        for of in (lambda split: streamed(store, split), lambda split: store.real_clips(split, WINDOW))
    )
    assert all(torch.equal(value, theirs.weights[name]) for name, value in ours.weights.items())
    assert torch.equal(ours.predictions["test"], theirs.predictions["test"])
    assert ours.rer == theirs.rer


@pytest.mark.parametrize(
    ("every_nth", "n_frames", "short_clips"), [(2, 8, "skip"), (3, 8, "repeat_last"), ("released", 10, "skip")]
)
def test_every_nth_frame_is_the_same_from_the_stream_and_the_cache(store, manifest, every_nth, n_frames, short_clips):
    config = DataConfig(every_nth=every_nth, short_clips=short_clips)
    same_frames(manifest, "plain_32", config, store.files.folder, n_frames)


def test_moving_mnist_streams_and_caches_every_nth_frame_of_its_array(ray_cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path / "cache"))
    manifest, config = make_moving_mnist(tmp_path / "data", n_clips=12, n_frames=40), DataConfig(every_nth=2)
    centred = same_frames(manifest, "plain_64", config, build_cache(manifest, "plain_64", config), 16)
    array = np.load(tmp_path / "data" / "moving_mnist.npy")
    numbers = [int(row["group"]) for row in manifest.split("test").to_pylist()]
    np.testing.assert_array_equal(centred[..., 0], array[4:35:2, numbers].swapaxes(0, 1))
    plan = stream_plan(manifest, "plain_64", config, 1, 16, seed=3, n_colours=1)
    ((streamed, _),) = plan.decoded(np.arange(1))
    store = open_cache(build_cache(manifest, "plain_64", config), manifest, every_nth=2)
    cached = TrainingClips(store, 1, 16, seed=3, n_colours=1)
    np.testing.assert_array_equal(streamed, cached.batch(0)[0][0])
    assert streamed.shape == (16, 64, 64, 1)


def same_frames(manifest, preprocessing, config, cache, n_frames):
    """The centre windows of the test split, which as three training batches are the same from cache and stream."""
    store = open_cache(cache, manifest, config.short_clips, config.every_nth)
    plan = stream_plan(manifest, preprocessing, config, 4, n_frames, seed=3)
    cached = TrainingClips(store, 4, n_frames, seed=3)
    with StreamedClips(plan, stream_datasets(plan, n_batches=3)[stream_name(0)].iterator()) as streamed:
        for index in range(3):
            for one, other in zip(streamed.batch(index), cached.batch(index), strict=True):
                assert torch.equal(one, other)
    inputs = Inputs(str(manifest.folder), preprocessing, cache=None)
    clips = inputs.real_clips(config, n_frames, "test")
    centred = all_windows(clips)
    assert torch.equal(centred, centre_windows(store, "test", n_frames)[0])
    assert torch.equal(all_windows(clips.random(2), 1), all_windows(store.real_clips("test", n_frames).random(2), 1))
    return centred


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


@pytest.mark.parametrize("sampling", ["shuffled", "class_balanced"])
def test_a_stream_resumed_on_another_number_of_ranks_has_the_same_global_batches(store, manifest, sampling):
    n_batches, plan = 7, stream_plan(manifest, "plain_32", DataConfig(sampling=sampling), 6, WINDOW, seed=1)
    cached = TrainingClips(store, 6, WINDOW, seed=1, sampling=sampling)
    positions = []
    for n_ranks, start, end in ((2, 0, 3), (3, 3, n_batches)):
        streams = stream_datasets(plan, end, start, n_ranks)
        parts = [list(streams[stream_name(rank)].iter_batches(batch_size=6 // n_ranks)) for rank in range(n_ranks)]
        for index, batches in enumerate(zip(*parts, strict=True), start=start):
            frames, labels = cached.batch(index)
            np.testing.assert_array_equal(np.concatenate([batch["frames"] for batch in batches]), frames)
            np.testing.assert_array_equal(np.concatenate([batch["label"] for batch in batches]), labels)
            positions.extend(np.concatenate([batch["position"] for batch in batches]).tolist())
    assert positions == list(range(6 * n_batches))


def test_ranks_that_do_not_divide_the_batch_are_refused(manifest):
    plan = stream_plan(manifest, "plain_32", DataConfig(), BATCH, WINDOW, seed=3)
    with pytest.raises(ValueError, match="batch_size must be a multiple of the 3 ranks, got 8"):
        stream_datasets(plan, n_batches=3, n_ranks=3)


def fields_of(plan: StreamPlan) -> dict[str, Any]:
    return {field.name: getattr(plan, field.name) for field in fields(plan)}


def test_a_killed_decoding_worker_costs_a_retry_and_no_batch(store, manifest, tmp_path):
    plan = stream_plan(manifest, "plain_32", DataConfig(), BATCH, WINDOW, seed=3)
    cached = TrainingClips(store, BATCH, WINDOW, seed=3)
    plan = OnceKilledPlan(**fields_of(plan), killed=str(tmp_path / "killed"))
    stream = stream_datasets(plan, n_batches=6)[stream_name(0)]
    with StreamedClips(plan, stream.iterator()) as streamed:
        for index in range(6):
            for one, other in zip(streamed.batch(index), cached.batch(index), strict=True):
                assert torch.equal(one, other)
    assert (tmp_path / "killed").exists()


def test_a_stream_survives_a_pause_of_the_training_beyond_ray_datas_limit(manifest, monkeypatch):
    # Ray Data stops a stream without progress for half an hour, and a full stream makes none while a score is computed.
    monkeypatch.setattr(ray.data.DataContext.get_current(), "execution_no_progress_timeout_s", 1)
    plan = stream_plan(manifest, "plain_64", DataConfig(), BATCH, WINDOW, seed=3)
    stream = stream_datasets(plan, n_batches=40)[stream_name(0)]
    stream.context.execution_options.resource_limits = ray.data.ExecutionResources.for_limits(object_store_memory=1e7)
    with StreamedClips(plan, stream.iterator()) as streamed:
        streamed.batch(0)
        time.sleep(3)
        for index in range(1, 40):
            streamed.batch(index)


@pytest.mark.slow
def test_a_file_that_crashes_every_worker_ends_the_stream_with_an_error(manifest):
    plan = stream_plan(manifest, "plain_32", DataConfig(), BATCH, WINDOW, seed=3)
    plan = CrashingPlan(**fields_of(plan))
    stream = stream_datasets(plan, n_batches=4)[stream_name(0)]
    # Batch 2 has position 20; which of the batches before it arrive depends on how far ahead Ray Data is.
    with StreamedClips(plan, stream.iterator()) as streamed, pytest.raises(ray.exceptions.WorkerCrashedError):
        streamed.batch(2)


def test_a_stream_with_no_cpu_left_is_refused_with_the_remedy():
    refuse_starved_stream(n_cpus=2, n_reserved=1)
    with pytest.raises(ConfigurationError, match=r"the cluster has 2 and they reserve 2\. Lower --workers-per-trial"):
        refuse_starved_stream(n_cpus=2, n_reserved=2)

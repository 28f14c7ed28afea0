"""Manifest, decoded clips and classifiers on an S3 server, as a cluster without a shared folder keeps them."""

import json
import os
import subprocess
import sys

import pyarrow.fs as fs
import pytest
import torch

from vgsearch.runtime.feed.decode import build_cache, inspect_videos
from vgsearch.runtime.feed.inputs import Inputs
from videogan.config import parse_config
from videogan.data.cache import is_complete, mirror_folder, missing_shards, planned_shards, write_index
from videogan.data.clips import DataConfig, centre_windows, open_cache
from videogan.data.decode import Limits, decode
from videogan.data.manifest import DataError, read_manifest, write_manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.data.synthetic import make_moving_shapes
from videogan.protocols import PROTOCOLS
from videogan.protocols.classifier import RealClassifier, load_real_classifier, save_real_classifier
from videogan.storage.places import file_names, place
from videogan.training.run_config import RunConfig

PLAIN = preprocessing_named("plain_32")


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    return make_moving_shapes(tmp_path_factory.mktemp("data") / "shapes", n_clips_each=1, n_groups=16, n_frames=20)


@pytest.fixture(scope="module")
def manifest(s3_bucket, local):
    """The same data set with its manifest on S3, its videos where they were."""
    rows = [row | {"path": local.location(row["path"])} for row in local.usable.to_pylist()]
    return write_manifest(f"{s3_bucket}/shapes", rows)


@pytest.fixture
def cache_on_s3(s3_bucket, monkeypatch, tmp_path):
    """VGSEARCH_CACHE on S3; what this machine copies goes to a folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("VGSEARCH_CACHE", f"{s3_bucket}/{tmp_path.name}")
    return place(f"{s3_bucket}/{tmp_path.name}")


def test_a_cache_on_s3_is_built_by_ray_and_read_as_the_local_one(
    manifest, cache_on_s3, ray_cluster, local, monkeypatch, tmp_path
):
    folder = build_cache(manifest, "plain_32", DataConfig())
    assert str(folder).startswith(f"{cache_on_s3}/clips/plain_32-")
    shards = planned_shards(manifest.usable["sha"].to_pylist())
    assert file_names(folder) == {"index.json", *(shard.name for shard in shards)}
    store = open_cache(str(folder), str(manifest.folder))
    frames, labels = centre_windows(store, "test", 16)
    assert len(os.listdir(mirror_folder(folder))) <= len(shards)
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path / "here"))
    here = open_cache(build_cache(local, "plain_32", DataConfig()), local)
    same, same_labels = centre_windows(here, "test", 16)
    assert sorted(zip(labels.tolist(), [frame.sum().item() for frame in frames], strict=True)) == sorted(
        zip(same_labels.tolist(), [frame.sum().item() for frame in same], strict=True)
    )
    for row in manifest.usable.to_pylist()[::20]:
        assert (store.files.frames(row["sha"]) == decode(manifest.location(row["path"]), PLAIN)).all()


def test_a_build_on_s3_resumes_from_its_shards(manifest, cache_on_s3, ray_cluster):
    folder = build_cache(manifest, "plain_32", DataConfig())
    system, path = fs.FileSystem.from_uri(str(folder))
    shards = planned_shards(manifest.usable["sha"].to_pylist())
    system.delete_file(f"{path}/index.json")
    system.delete_file(f"{path}/{shards[1].name}")
    with system.open_output_stream(f"{path}/.{shards[1].name}.0badcafe.part") as part:
        part.write(b"half of it")
    before = {info.path: info.mtime for info in system.get_file_info(fs.FileSelector(path))}
    assert not is_complete(folder)
    assert missing_shards(folder, shards) == [shards[1]]
    seen = []
    build_cache(manifest, "plain_32", DataConfig(), lambda done, total: seen.append((done, total)))
    assert seen == [(48, 64), (64, 64)]
    after = {info.path: info.mtime for info in system.get_file_info(fs.FileSelector(path))}
    kept = [f"{path}/{shard.name}" for shard in shards if shard != shards[1]]
    assert [after[name] for name in kept] == [before[name] for name in kept], "not written again"
    assert {name.rpartition("/")[2] for name in after} == {"index.json", *(shard.name for shard in shards)}, "swept up"


def test_videos_on_s3_are_decoded_into_a_cache_and_a_missing_one_is_named(s3_bucket, local, cache_on_s3, ray_cluster):
    rows = local.usable.to_pylist()[:3]
    folder = place(f"{s3_bucket}/videos")
    for row in rows:
        content = local.location(row["path"]).read_bytes()
        (folder / row["path"]).write_whole(lambda stream, content=content: stream.write(content))
    manifest = write_manifest(folder, rows)
    files = open_cache(build_cache(manifest, "plain_32", DataConfig()), manifest).files
    assert all((files.frames(row["sha"]) == decode(local.location(row["path"]), PLAIN)).all() for row in rows)
    (folder / rows[0]["path"]).unlink()
    with pytest.raises(DataError, match=rf"{folder}/{rows[0]['path']}: no such file \(1 such files\)"):
        build_cache(manifest, "plain_48", DataConfig())
    with pytest.raises(DataError, match=rf"{folder}.*as local files"):
        inspect_videos([manifest.location(row["path"]) for row in rows], Limits(), lambda done, total: None)
    config = parse_config(RunConfig, {"model": {"family": "mvt", "n_classes": 4}})
    with pytest.raises(DataError, match=rf"{folder}.*data\.feed=cache"):
        Inputs(str(folder), "plain_32", cache=None).selection(config.data, 16, "train")


def test_inspections_are_journalled_on_s3_too(local, cache_on_s3, ray_cluster):
    paths = [local.location(path) for path in local.usable["path"].to_pylist()]
    found = inspect_videos(paths[::5], Limits(), lambda done, total: None)
    seen = []
    assert found.items() <= inspect_videos(paths, Limits(), lambda done, total: seen.append(done)).items()
    assert seen == list(range(13, 65))


def test_inputs_name_classifiers_and_clips_on_s3(s3_bucket):
    inputs = Inputs(f"{s3_bucket}/shapes", "plain_32", f"{s3_bucket}/clips", classifiers=f"{s3_bucket}/classifiers")
    path = inputs.classifier_path(PROTOCOLS["s3_r3d18_v2"].classifier, 3)
    assert str(path).startswith(f"{s3_bucket}/classifiers/")
    assert not path.exists()
    save_real_classifier(path, RealClassifier(3, 2, torch.tensor([0, 1]), 0.5, {"weight": torch.arange(3.0)}))
    assert load_real_classifier(path).weights["weight"].tolist() == [0.0, 1.0, 2.0]


@pytest.mark.slow
def test_a_manifest_is_imported_onto_s3_by_command(s3_bucket, local):
    out, program = f"{s3_bucket}/imported", [sys.executable, "-c", "from vgsearch.cli import main; main()"]
    command = [*program, "data", "import", str(local.folder), "--out", out, "--split-by", "group", "--json"]
    printed = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    assert printed["manifest"] == f"{out}/manifest.parquet"
    assert len(read_manifest(out).usable) == 64
    refused = subprocess.run([*program, "data", "import", out], stderr=subprocess.PIPE, text=True, check=False)
    assert refused.returncode == 1
    assert f"error: {out}: videos are imported from a local folder" in refused.stderr


def test_an_index_is_never_written_over_shards_that_s3_does_not_have(s3_bucket):
    folder = place(f"{s3_bucket}/none")
    with pytest.raises(DataError, match="VGSEARCH_CACHE"):
        write_index(folder, PLAIN, planned_shards(["a"]))
    assert not folder.exists()

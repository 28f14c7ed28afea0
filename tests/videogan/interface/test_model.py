"""A model loaded from Python samples what its labels and seed say, and is scored as `vgsearch evaluate` scores it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import videogan
from vgsearch.cli import app
from videogan.config import ConfigurationError, parse_config
from videogan.data.manifest import read_manifest
from videogan.data.moving_mnist import make_moving_mnist
from videogan.data.synthetic import make_moving_shapes
from videogan.sampling.sampling import sampling_copy, synthesise
from videogan.shard import Shard
from videogan.training.checkpoint import CheckpointFolder, generator_from, generator_only, save_checkpoint
from videogan.training.loop import Training
from videogan.training.run_config import RunConfig


def trained(folder: Path, trained_on: str = "a manifest", n_classes: int = 3, **evaluation: object) -> Path:
    """A checkpoint of a tiny TGAN, conditional if there are classes."""
    model = {"family": "tgan", "resolution": 32, "n_classes": n_classes, "width": 1 / 16, "dim_z": 6}
    objective = ["s3"] if n_classes > 1 else ["-kvd"]
    values = {
        "model": model | {"conditional": n_classes > 1},
        "evaluation": {"standing_batches": 1, "objective": objective, "protocol": "s3_r3d18_smoke_v2", **evaluation},
    }
    torch.manual_seed(0)
    training = Training(parse_config(RunConfig, values), lambda module: module, Shard(), "cpu")
    return CheckpointFolder(folder / "checkpoints").save(training.checkpoint(7, trained_on=trained_on))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("trial"))


def test_a_model_samples_the_clips_of_its_labels_and_seed(checkpoint: Path):
    model = videogan.load(checkpoint)
    clips = model.sample(5, labels=[0, 1, 2, 0, 1], seed=3)
    generator, config = generator_from(checkpoint)
    sampler = sampling_copy(generator, 3, config.evaluation.standing_batches, seed=config.seed)
    assert torch.equal(clips, synthesise(sampler, torch.tensor([0, 1, 2, 0, 1]), 3))
    assert clips.dtype == torch.uint8
    assert clips.shape == (5, 16, 32, 32, 3)
    assert torch.equal(model.sample(5, seed=3), clips), "without labels the classes in turn"
    assert torch.equal(model.sample(2, labels="class 1", seed=3), model.sample(2, labels=1, seed=3))
    assert not torch.equal(model.sample(5, seed=4), clips)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"n": 0}, "n must be a whole number of at least 1, got 0"),
        ({"n": 2.5}, "n must be a whole number of at least 1, got 2.5"),
        ({"n": 1, "seed": -1}, "seed must be a whole number of at least 0"),
        ({"n": 1, "n_frames": 0}, "n_frames must be a whole number of at least 1"),
        ({"n": 1, "truncation": math.nan}, "truncation must be above 0"),
        ({"n": 1, "labels": [1.5]}, "labels must be a whole number of at least 0, got 1.5"),
        ({"n": 2, "labels": [0]}, "labels must be one for all clips, or 2"),
        ({"n": 1, "labels": 3}, "labels must be from 0 to 2, got 3"),
        ({"n": 1, "labels": "clas 1"}, "no class 'clas 1'; did you mean 'class 1'"),
    ],
)
def test_a_model_refuses_what_it_cannot_sample(checkpoint: Path, given: dict, said: str):
    with pytest.raises(ConfigurationError, match=said):
        videogan.load(checkpoint).sample(**given)


def test_an_exported_folder_is_loaded_with_the_names_of_its_classes(checkpoint: Path, tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"contains no generator.pt; .* vgsearch export"):
        videogan.load(tmp_path)
    whole = CheckpointFolder.load(checkpoint)
    with open(tmp_path / "generator.pt", "wb") as stream:
        save_checkpoint(generator_only(whole), stream)
    (tmp_path / "classes.json").write_text(json.dumps(["bend", "jack", "wave"]))
    model = videogan.load(tmp_path)
    assert model.classes == ("bend", "jack", "wave")
    assert torch.equal(model.sample(1, labels="jack"), videogan.load(checkpoint).sample(1, labels=np.int64(1)))
    (tmp_path / "classes.json").write_text('["bend"]')
    with pytest.raises(ConfigurationError, match=r"classes.json must be a list of 3 names, got .'bend'.; export again"):
        videogan.load(tmp_path)
    (tmp_path / "classes.json").write_text("[")
    with pytest.raises(ConfigurationError, match=r"classes.json is damaged"):
        videogan.load(tmp_path)


def test_a_file_that_is_missing_or_no_checkpoint_is_an_error_of_the_request(tmp_path: Path):
    (tmp_path / "text.pt").write_text("no checkpoint")
    for name in ("nope.pt", "text.pt"):
        with pytest.raises(ConfigurationError, match=name):
            videogan.load(tmp_path / name)


def test_a_device_that_is_not_there_is_told_in_a_line(checkpoint: Path):
    with pytest.raises(ConfigurationError, match="device='gpuu' cannot be used: "):
        videogan.load(checkpoint, device="gpuu")


def test_a_model_is_not_scored_on_data_that_it_may_have_seen_or_by_an_unknown_metric(checkpoint: Path, tmp_path: Path):
    manifest = make_moving_mnist(tmp_path / "digits", n_clips=8)
    with pytest.raises(ConfigurationError, match="may have trained on those test clips"):
        videogan.evaluate(checkpoint, manifest.folder)
    own = trained(tmp_path, manifest.digest, n_classes=1)
    for metrics, said in (("s4", "'s4' is unknown"), ("s3", "needs samples of each class"), ((), "at least one")):
        with pytest.raises(ConfigurationError, match=said):
            videogan.evaluate(own, manifest.folder, metrics)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["kvd", "s3"])
def test_a_score_in_one_process_equals_that_of_the_command_to_the_last_digit(metric: str, tmp_path: Path, monkeypatch):
    if metric == "kvd":  # of one class: no classifier is trained
        data = make_moving_mnist(tmp_path / "digits", n_clips=24).folder
    else:
        data = make_moving_shapes(tmp_path / "shapes", n_clips_each=1, n_groups=16).folder
    manifest = read_manifest(data)
    checkpoint = trained(tmp_path, manifest.digest, n_classes=len(manifest.classes))
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path / "one"))
    ours = {name: found.to_json() for name, found in videogan.evaluate(checkpoint, data, metric).items()}
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path / "other"))
    asked = ["evaluate", checkpoint, "--data", data, "--metrics", metric, "--out", tmp_path / "e", "--json"]
    result = CliRunner().invoke(app, [*map(str, asked)], catch_exceptions=False)
    theirs = {row["measure"]: row["found"] for row in json.loads(result.stdout)["scores"]}
    assert ours == theirs

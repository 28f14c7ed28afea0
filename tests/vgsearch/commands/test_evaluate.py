"""vgsearch evaluate as a user types it: a checkpoint, a folder of videos, the ladder."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from ray.cluster_utils import Cluster
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

import videogan
from tests.standard_detector import StandIn, saved
from vgsearch.cli import app
from vgsearch.evaluation.measures import N_FRAMES
from vgsearch.evaluation.request import EvaluationRequest, planned
from vgsearch.runtime.cluster.cluster import connect
from vgsearch.runtime.feed.decode import build_cache
from vgsearch.runtime.judging.gam import gam_of
from vgsearch.runtime.judging.judge import Judge
from vgsearch.runtime.judging.prepare import prepare
from videogan.config import ConfigurationError, parse_config
from videogan.data.clips import TrainingClips, open_cache
from videogan.data.manifest import read_manifest
from videogan.data.synthetic import make_moving_shapes
from videogan.protocols.ladder import RUNGS
from videogan.training.checkpoint import CheckpointFolder
from videogan.training.loop import train
from videogan.training.run_config import RunConfig

KVD = "kvd_r3d18_smoke_v2"


@pytest.fixture(scope="module", autouse=True)
def _running_ray() -> Iterator[None]:
    """One cluster for all commands of this module; without RAY_ADDRESS each would start its own."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", cluster.address)
        yield
    cluster.shutdown()


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Clips of one window each."""
    folder = tmp_path_factory.mktemp("data") / "shapes"
    return make_moving_shapes(folder, n_clips_each=1, n_groups=16, n_frames=N_FRAMES).folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data) -> Path:
    """An experiment of one trial on `data`, with checkpoints after 2 and 3 steps."""
    experiment = tmp_path_factory.mktemp("runs") / "exp"
    folder = experiment / "trials" / "t0000-abcdef"
    values = {
        "model": {"family": "mvt", "variant": "mvt", "resolution": 32, "n_classes": 4, "channels": 2, "gru_hidden": 8},
        "evaluation": {"protocol": "s3_r3d18_smoke_v2", "standing_batches": 1},
        "optimiser": {"lr_g": 0.001},  # after two steps the discriminators distinguish real clips from fakes
        "loop": {"n_steps": 3, "batch_size": 8},
    }
    config, manifest = parse_config(RunConfig, values), read_manifest(data)
    with connect():
        store = open_cache(build_cache(manifest, "plain_32", config.data), manifest)
    for progress in train(config, TrainingClips(store, 8, 16, seed=0)):
        if progress.step > 1:
            checkpoint = progress.training.checkpoint(progress.step, manifest.digest)
            CheckpointFolder(folder / "checkpoints").save(checkpoint)
    (folder / "metrics.jsonl").write_text('{"step": 3, "loss": 1.0}\n')
    (experiment / "sweep.yaml").write_text(yaml.safe_dump({"data": str(data)}))
    return experiment


@pytest.fixture
def trial(tmp_path, trained) -> Path:
    """A copy of the trial's folder in its experiment."""
    return Path(shutil.copytree(trained, tmp_path / "exp")) / "trials" / "t0000-abcdef"


def evaluate(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def evaluated(*arguments: object) -> dict[str, Any]:
    """The results that --json prints, by measure and subject; the output must be valid JSON without NaN."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    output = json.loads(evaluate(*arguments, "--json"), parse_constant=refuse)
    return {(row["measure"], row["subject"]): row["found"] for row in output["scores"]}


@pytest.fixture(scope="module")
def ladder(data, tmp_path_factory) -> tuple[dict[Any, Any], Path]:
    """Every rung's kernel distance, and the output folder."""
    out = tmp_path_factory.mktemp("out")
    return evaluated("--ladder", data, "--budget", "smoke", "--metrics", "kvd", "--out", out), out


@pytest.mark.slow
def test_the_ladder_ranks_noise_last_and_counts_what_its_score_is_measured_on(ladder, data):
    found, out = ladder
    assert [subject for _, subject in found] == list(RUNGS)
    distance = {subject: score["mean"] for (_, subject), score in found.items()}
    assert max(distance, key=distance.get) == "noise"
    for score in found.values():
        assert (score["split"], score["n_real"]) == ("test", len(read_manifest(data).split("test")))
        assert len(score["per_seed"]) == 3
        assert score["mean"] == pytest.approx(sum(score["per_seed"]) / 3)
        assert score["low"] <= score["mean"] <= score["high"]
    assert {path.name for path in out.iterdir()} == {"scores.json", "ladder.png"}


@pytest.mark.slow
def test_real_clips_score_as_real_ones_and_far_from_noise(ladder, tmp_path, data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for row in read_manifest(data).split("train").to_pylist():
        label = row["label"]
        (tmp_path / "made" / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(data / row["path"], tmp_path / "made" / label)
    (tmp_path / "made" / label / "broken.mp4").write_text("no video")
    found = evaluated("--videos", "made", "--data", data, "--budget", "smoke", "--metrics", "kvd,blind_spots")
    distance, noise = found[KVD, "made"], ladder[0][KVD, "noise"]
    assert distance["digest"] != noise["digest"], "the ladder's classifiers are fitted on half of the groups"
    # Unbiased distances of so few clips fall on both sides of zero, by an amount that differs between processors:
    # real clips may be nearer than the reference real ones, but not much farther.
    assert distance["mean"] < distance["real"] + 0.25 * (noise["mean"] - distance["real"])
    # They are the training clips themselves, which only the blind spots report.
    spots = found["blind_spots", "made"]
    assert spots["memorisation_pixels"] < 0.5
    assert spots["copies"] > 0.5
    assert any("memorisation" in warning for warning in spots["warnings"])
    out = Path("runs/evaluations/made-on-shapes")
    assert {path.name for path in out.iterdir()} == {"scores.json", "neighbours.gif", "neighbours.png"}
    with Image.open(out / "neighbours.gif") as image:
        assert image.n_frames == 16


@pytest.mark.slow
def test_standard_fvd_scores_unlabelled_videos_of_any_data_and_a_checkpoint_at_another_length(
    trial, data, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path / "cache"))
    detector = saved(StandIn(), tmp_path / "i3d.pt")
    train = [row["path"] for row in read_manifest(data).split("train").to_pylist()]
    (tmp_path / "loose").mkdir()
    for number, path in enumerate(train):
        shutil.copy(data / path, tmp_path / "loose" / f"{number}.mp4")
    size = ("--preprocessing", "plain_32")
    options = ("--data", data, "--trust-torchscript", "i3d.pt", "--fvd-clips", len(train))
    ((name, found),) = evaluated("--videos", "loose", *options, *size).items()
    assert name == (f"fvd_{len(train)}x16_train+{detector.sha256[:6]}", "loose")
    # Each clip has one window, and the videos are the training clips.
    assert found["mean"] < 1e-9 < found["real"]
    assert found["warnings"] == []
    kept = [path.read_bytes() for path in sorted(tmp_path.glob("cache/classifiers/*/real-moments.pt"))]
    assert len(kept) == 2

    (shorter,) = evaluated(trial / "checkpoints/step00000003.pt", *options, "--fvd-frames", 12).values()
    assert shorter["protocol"].startswith(f"fvd_{len(train)}x12_train")
    assert shorter["mean"] > shorter["real"]
    assert len(list(tmp_path.glob("cache/classifiers/*/real-moments.pt"))) == 4


def test_scores_of_a_checkpoint_are_printed_and_added_to_its_trials_records_at_its_step(trial, data, monkeypatch):
    monkeypatch.chdir(trial.parent)
    a, b = (f"t0000-abcdef/checkpoints/step0000000{step}.pt" for step in (2, 3))
    printed = evaluate(a, "--against", b, "--metrics", "kvd,gam", "--fakes", "40")
    output = json.loads((trial / "evaluations" / "step00000002" / "scores.json").read_text())
    kvd, gam = (row["found"] for row in output["scores"])
    assert f"{KVD}  {kvd['digest'][:6]}" in printed
    # Without a terminal each measurement is printed as it ends, and files as one would type them.
    assert f"/2  {KVD}  step00000002  {kvd['mean']:.2f}" in printed
    assert printed.splitlines()[-1] == "t0000-abcdef/evaluations/step00000002/scores.json"
    assert videogan.evaluate(a, data, "kvd")[KVD].to_json() == kvd, "a program gets the same to the last digit"
    expected = {f"evaluation/{KVD}": kvd["mean"], "evaluation/gam/t0000-abcdef-step00000003": gam["score"]}
    before, line = map(json.loads, (trial / "metrics.jsonl").read_text().splitlines())
    assert before == {"step": 3, "loss": 1.0}
    assert line == {"step": 2} | expected
    events = EventAccumulator(str(trial / "tb")).Reload()
    for name, value in expected.items():
        (point,) = events.Scalars(name)
        assert (point.step, point.value) == (2, pytest.approx(value))


def test_gam_of_two_models_is_reciprocal(trial):
    paths = [trial / "checkpoints" / f"step0000000{step}.pt" for step in (2, 3)]
    plan = planned(EvaluationRequest(checkpoint=paths[0]))
    with connect():
        inputs = prepare(plan.manifest, plan.preprocessing, plan.data, N_FRAMES, {}, 1, 0, Console(quiet=True))
    judge = Judge(inputs, plan.data, N_FRAMES)
    of_a, of_b = (gam_of(str(own), str(other), judge, "cpu", 20) for own, other in (paths, reversed(paths)))
    assert of_a.score * of_b.score == pytest.approx(1)
    assert of_a.r_test * of_b.r_test == pytest.approx(1)
    assert (of_a.against, of_a.n_fakes) == (str(paths[1]), 20)


def test_a_failed_measurement_is_reported_and_the_others_are_kept(trial):
    path = trial / "checkpoints" / "step00000003.pt"
    stored = torch.load(path, weights_only=True)
    stored["discriminators"]["video"]["head.linear.bias"].fill_(torch.nan)
    torch.save(stored, path)
    arguments = ["evaluate", str(trial / "checkpoints" / "step00000002.pt"), "--against", str(path), "--fakes", "4"]
    with pytest.raises(ConfigurationError, match=r"gam of step00000002 could not be measured: .* must be finite"):
        CliRunner().invoke(app, [*arguments, "--metrics", "gam,kvd"], catch_exceptions=False)
    (row,) = json.loads((trial / "evaluations" / "step00000002" / "scores.json").read_text())["scores"]
    assert row["measure"] == KVD
    assert f"evaluation/{KVD}" in (trial / "metrics.jsonl").read_text()

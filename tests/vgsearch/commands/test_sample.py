"""`vgsearch sample` on checkpoints of each family: the written files, and refusals with their advice."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

from tests.builders import tiny_sweep
from vgsearch.cli import app
from vgsearch.experiment.chosen_checkpoint import chosen_checkpoint
from vgsearch.experiment.ledger import Ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.export.export import export
from vgsearch.sampling.sample import chosen, class_names
from videogan.config import ConfigurationError, parse_config
from videogan.data.formats import plain_folders
from videogan.data.formats.contract import ImportOptions
from videogan.data.manifest import read_manifest
from videogan.data.synthetic import make_moving_shapes
from videogan.sampling.pictures import LINE, MARGIN, text_width
from videogan.sampling.sampling import codes, render, sampling_copy
from videogan.shard import Shard
from videogan.training.checkpoint import CheckpointFolder, UnreadableCheckpoint, generator_from, networks_from
from videogan.training.loop import Training
from videogan.training.run_config import RunConfig

MODELS = {
    "mvt": {"variant": "mvt_tsa", "channels": 8, "gru_hidden": 16},
    "tgan": {"width": 1 / 16, "dim_z": 6},
    "tgan conditional": {"width": 1 / 16, "dim_z": 6, "conditional": True},
    "mocogan": {"width": 1 / 16},
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    made = {}
    for name, settings in MODELS.items():
        model = {"family": name.split()[0], "resolution": 32, "n_classes": 3, **settings}
        objective = ["-kvd"] if name == "tgan" else ["s3"]
        values = {"model": model, "evaluation": {"standing_batches": 1, "objective": objective}}
        torch.manual_seed(0)
        training = Training(parse_config(RunConfig, values), lambda module: module, Shard(), "cpu")
        folder = CheckpointFolder(tmp_path_factory.mktemp("trial") / "checkpoints")
        made[name] = folder.save(training.checkpoint(7, trained_on="a manifest"))
    return made


@pytest.fixture(scope="module")
def checkpoint(checkpoints):
    return checkpoints["mvt"]


def sample(*arguments) -> str:
    result = CliRunner().invoke(app, ["sample", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def frames_and_size(folder: Path) -> tuple[int, tuple[int, int]]:
    with Image.open(next(folder.glob("*.gif"))) as image:
        return image.n_frames, image.size


def size_of(n_rows: int, n_columns: int, longest: str, lines: int = 1) -> tuple[int, int]:
    """The size of a grid of clips of 64 px with names on the left and on top."""
    return text_width(longest) + MARGIN + 66 * n_columns - 2, LINE * lines + 66 * n_rows - 2


def test_sample_writes_a_gif_an_mp4_and_a_sheet_beside_the_checkpoints(checkpoint):
    printed = sample(checkpoint, "--codes", 2)
    folder = checkpoint.parent.parent / "samples"
    written = sorted(path.name for path in folder.iterdir())
    assert written == [f"step00000007-grid-seed0.{suffix}" for suffix in ("gif", "mp4", "png")]
    assert all(str(folder / name) in printed for name in written)
    assert "3 classes x 2 codes; 16 frames" in printed
    assert frames_and_size(folder) == (16, size_of(3, 2, "class 0"))
    with av.open(str(folder / written[1])) as container:
        assert sum(1 for _ in container.decode(video=0)) == 16


def test_length_seed_and_folder_can_be_chosen_and_the_same_seed_gives_the_same_samples(checkpoint, tmp_path):
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        sample(checkpoint, "--codes", 1, "--n-frames", 5, "--seed", seed, "--out", tmp_path / folder)
    gifs = [next((tmp_path / folder).glob("*.gif")).read_bytes() for folder in "abc"]
    assert gifs[0] == gifs[1] != gifs[2]
    assert frames_and_size(tmp_path / "a")[0] == 5


def test_show_codes_interpolates_codes_in_a_row_for_each_chosen_class(checkpoint, tmp_path):
    printed = sample(checkpoint, "--show", "codes", "--classes", "2,class 0", "--steps", 4, "--out", tmp_path)
    assert "4 steps from code to code in 2 rows" in printed
    assert frames_and_size(tmp_path) == (16, size_of(2, 4, "class 2"))


@pytest.mark.parametrize("family", ["mvt", "tgan conditional", "mocogan"])
def test_show_classes_interpolates_classes_of_conditional_families(checkpoints, family, tmp_path):
    printed = sample(checkpoints[family], "--show", "classes", "--steps", 3, "--out", tmp_path)
    assert "3 steps from class to class in 2 rows" in printed
    assert frames_and_size(tmp_path) == (16, size_of(2, 3, "to class 1"))


def test_without_labels_rows_are_pairs_of_codes(checkpoints, tmp_path):
    assert "5 steps from code to code in 4 rows" in sample(
        checkpoints["tgan"], "--show", "codes", "--steps", 5, "--out", tmp_path
    )
    assert frames_and_size(tmp_path)[1] == size_of(4, 5, "code 6")


def test_subspaces_are_drawn_measured_and_written_as_json(checkpoints, tmp_path):
    options = ["--show", "subspaces", "--codes", "2", "--n-frames", "6", "--truncation", "1"]
    printed = sample(checkpoints["mocogan"], *options, "--out", tmp_path)
    assert "measured over 64 codes" in printed
    rows = [line.split()[0] for line in printed.splitlines() if "[" in line and "%" not in line]
    assert rows == ["content", "motion", "all"]
    assert frames_and_size(tmp_path) == (6, size_of(4, 2, "content resampled", lines=2))
    content = json.loads((tmp_path / "step00000007-subspaces-seed0-frames6-tau1.json").read_text())
    assert (content["n_codes"], content["n_frames"], content["truncation"], content["seed"]) == (64, 6, 1, 0)
    assert list(content["changes"]) == ["content", "motion", "all"]
    for change in content["changes"].values():
        assert all(part["low"] <= part["mean"] <= part["high"] for part in change.values())
    mean = content["changes"]["content"]["appearance"]["mean"]
    assert f"{mean:.2f} [" in printed


def test_clips_with_frames_between_are_below_the_originals_and_last_as_long(checkpoints, tmp_path):
    printed = sample(checkpoints["tgan conditional"], "--show", "between", "--codes", 2, "--out", tmp_path)
    assert "3 new frames between any two: 61 instead of 16" in printed
    with av.open(str(next(tmp_path.glob("*.mp4")))) as container:
        assert container.streams.video[0].average_rate == 50
        assert sum(1 for _ in container.decode(video=0)) == 61


REFUSED = {
    "no subspaces": ("tgan", ["--show", "subspaces"], "tgan has one code without subspaces"),
    "no frames between": ("mvt", ["--show", "between"], "mvt makes no frames between frames"),
    "no classes": ("tgan", ["--show", "classes"], "needs a conditional generator"),
    "classes of none": ("tgan", ["--classes", "1"], "this tgan generates without labels; leave it out"),
    "one class": ("mvt", ["--show", "classes", "--classes", "1"], "at least 2 classes, got 1"),
    "length": ("tgan", ["--n-frames", "32"], "n_frames must be 16, the four doublings of time, got 32"),
    "uniform codes": ("tgan", ["--truncation", "1"], "truncation needs normal codes"),
    "truncation to nothing": ("mvt", ["--truncation", "0"], "truncation must be above 0 standard deviations"),
    "codes without effect": ("mvt", ["--show", "classes", "--codes", "3"], "--codes has no effect on --show classes"),
    "steps without effect": ("mvt", ["--steps", "3"], "only on codes and classes and between"),
    "one step": ("mvt", ["--show", "codes", "--steps", "1"], "at least 2 steps, got 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unsupported_pictures_and_options_without_effect_are_refused_and_nothing_is_written(
    checkpoints, case, tmp_path
):
    family, arguments, message = REFUSED[case]
    with pytest.raises(ConfigurationError, match=message):
        sample(checkpoints[family], *arguments, "--out", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_classes_are_chosen_by_name_or_number_and_a_wrong_name_gets_a_suggestion():
    assert chosen("run, 0", ["walk", "run", "jump"]) == [1, 0]
    with pytest.raises(ConfigurationError, match="no class 'wlak' among 3; did you mean 'walk'"):
        chosen("wlak", ["walk", "run", "jump"])
    with pytest.raises(ConfigurationError, match="no class '3' among 3"):
        chosen("3", ["walk", "run", "jump"])
    with pytest.raises(ConfigurationError, match="names walk more than once"):
        chosen("walk,0", ["walk", "run"])


def test_classes_have_the_names_that_their_sweep_or_its_data_set_holds_unless_that_has_changed(tmp_path):
    make_moving_shapes(data := tmp_path / "data", n_clips_each=1, n_groups=16)
    checkpoint = tmp_path / "runs" / "sweep" / "trials" / "t0000-abcdef" / "checkpoints" / "step00000001.pt"
    sweep = checkpoint.parents[3] / "sweep.yaml"
    sweep.parent.mkdir(parents=True)
    sweep.write_text(yaml.safe_dump({"data": str(data)}))
    manifest = read_manifest(data)
    assert class_names(checkpoint, manifest.digest, 4) == (list(manifest.classes), "")
    names, why = class_names(checkpoint, "another", 4)
    assert names == ["class 0", "class 1", "class 2", "class 3"]
    assert "has changed since" in why
    known = {"data": str(tmp_path / "moved"), "manifest_digest": manifest.digest, "class_names": list(manifest.classes)}
    sweep.write_text(yaml.safe_dump(known))
    assert class_names(checkpoint, manifest.digest, 4) == (list(manifest.classes), "")
    assert "does not exist" in class_names(checkpoint, "another", 4)[1]
    sweep.unlink()
    assert "belongs to no experiment with a known data set" in class_names(checkpoint, manifest.digest, 4)[1]


def test_a_file_at_the_path_of_the_output_folder_is_refused_and_kept(checkpoint, tmp_path):
    (tmp_path / "samples").write_text("mine")
    with pytest.raises(ConfigurationError, match="samples is a file; give a folder"):
        sample(checkpoint, "--out", tmp_path / "samples")
    assert (tmp_path / "samples").read_text() == "mine"


def test_a_file_that_is_not_a_checkpoint_is_refused(tmp_path):
    (tmp_path / "step1.pt").write_bytes(b"no checkpoint")
    with pytest.raises(UnreadableCheckpoint, match="does not load"):
        sample(tmp_path / "step1.pt")


def test_loose_clips_are_lossless_in_a_folder_for_each_class_and_found_as_videos(checkpoint, tmp_path):
    asked = ["sample", checkpoint, "--clips", 2, "--classes", "0,2", "--seed", 5, "--out", tmp_path, "--json"]
    result = CliRunner().invoke(app, [*map(str, asked)], catch_exceptions=False)
    assert json.loads(result.stdout) == {"files": [str(tmp_path)], "n_clips": 4, "classes": ["class 0", "class 2"]}
    names = [f"{label}/{number:04d}.mp4" for label in ("class 0", "class 2") for number in range(2)]
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.mp4")) == names
    generator, config = generator_from(checkpoint)
    sampler = sampling_copy(generator, config.model.n_classes, config.evaluation.standing_batches, seed=config.seed)
    z = codes(sampler, 2, 5, first=2_000_000)
    drawn = render(sampler, z, torch.full((2,), 2))
    for number in range(2):
        with av.open(str(tmp_path / names[2 + number])) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert torch.equal(torch.from_numpy(np.stack(frames)), drawn[number])
    assert [video.label for video in plain_folders.find(tmp_path, ImportOptions(split_by="group")).videos] == [
        "class 0", "class 0", "class 2", "class 2",
    ]  # fmt: skip
    with pytest.raises(ConfigurationError, match="--clips writes loose clips, no picture"):
        sample(checkpoint, "--clips", 2, "--show", "codes")


def an_experiment(folder: Path, checkpoint: Path) -> Experiment:
    """Three trials: the paper's point, the best one, and a pruned one whose middle look is its best."""
    experiment = Experiment.at(folder)
    tiny_sweep().save(experiment.sweep)
    ledger = Ledger(experiment.ledger)
    ledger.append("sweep_started", space="mvt_tsa", budget="smoke", objective=["s3"], n_trials=3,
                  sweep={"tags": ["night"], "manifest_digest": "0" * 64})  # fmt: skip
    for index, state in enumerate(("done", "done", "pruned")):
        name = f"t{index:04d}-abcdef"
        ledger.append("trial_started", trial=name, index=index, overrides={"model.sigma_a": 0.5},
                      is_paper_point=not index, n_steps=9)  # fmt: skip
        for step, look in ((3, 0.2), (7, 0.6), (9, 0.4)):
            ledger.append("look", trial=name, step=step, look=look, losses={})
            path = experiment.trial(name).checkpoints / f"step{step:08d}.pt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(checkpoint.read_bytes())
        s3 = {"s3": {"mean": 0.5 + 0.1 * index, "low": 0.4, "high": 0.8}}
        ledger.append("trial_ended", trial=name, state=state, step=9, **({"score": s3} if state == "done" else {}))
    return experiment


def test_an_experiment_or_a_trial_stands_for_its_best_checkpoint(checkpoint, tmp_path):
    experiment = an_experiment(tmp_path / "x-001", checkpoint)
    best = experiment.trial("t0001-abcdef").checkpoints / "step00000009.pt"
    pruned = experiment.trial("t0002-abcdef")
    assert chosen_checkpoint(experiment.folder) == chosen_checkpoint(experiment.folder / "t0001") == best
    assert chosen_checkpoint(pruned.folder) == pruned.checkpoints / "step00000007.pt"
    assert chosen_checkpoint(checkpoint) == checkpoint
    printed = sample(experiment.folder, "--codes", 1)
    assert "trials/t0001-abcdef/samples/step00000009-grid-seed0.gif" in printed
    for command in (("sample", "--codes", "1"), ("export", str(tmp_path / "exported"))):
        told = CliRunner().invoke(app, [command[0], str(pruned.folder), *command[1:]]).stderr
        assert "note: t0002 (pruned at step 9): using its checkpoint of step 7, which has the best look" in told
    for path in pruned.checkpoints.iterdir():
        path.unlink()
    for where, said in (("x-001/t0002", "has no checkpoint"), ("x-001/t7", "no trial begins"), ("y", "no sweep")):
        with pytest.raises(ConfigurationError, match=said):
            chosen_checkpoint(tmp_path / where)


def test_ls_lists_experiments_with_state_best_and_tags(checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    an_experiment(tmp_path / "runs" / "x-001", checkpoint)
    (tmp_path / "runs" / "no-experiment").mkdir()
    runner = CliRunner()
    listed = json.loads(runner.invoke(app, ["ls", "--json"], catch_exceptions=False).stdout)
    (found,) = listed
    assert (found["name"], found["state"], found["best"]) == ("x-001", "running", "t0001-abcdef")
    assert (found["n_done"], found["n_trials"], found["tags"]) == (2, 3, ["night"])
    assert found["bytes"] > 9 * checkpoint.stat().st_size
    text = runner.invoke(app, ["ls", "runs", "--tag", "night"], catch_exceptions=False).stdout
    head, row = text.splitlines()
    assert head.split()[:3] == ["experiment", "state", "done"]
    assert row.split()[:6] == ["runs/x-001", "running", "2/3", "t0001", "s3", "0.60"]
    assert "no experiment tagged day" in runner.invoke(app, ["ls", "--tag", "day"], catch_exceptions=False).stdout
    (tmp_path / "runs" / "x-002").mkdir()
    (tmp_path / "runs" / "x-002" / "ledger.jsonl").touch()
    assert "x-002" in runner.invoke(app, ["ls"], catch_exceptions=False).stdout
    assert "runs/x-001  running" in runner.invoke(app, ["ls", "runs/x-001"], catch_exceptions=False).stdout
    with pytest.raises(ConfigurationError, match="no folder nowhere here; vgsearch tune makes it"):
        runner.invoke(app, ["ls", "nowhere"], catch_exceptions=False)


def test_an_export_is_a_model_that_samples_the_same_clips_with_its_card_and_command(checkpoint, tmp_path):
    experiment = an_experiment(tmp_path / "x-001", checkpoint)
    result = CliRunner().invoke(app, ["export", str(experiment.folder), str(tmp_path / "m")], catch_exceptions=False)
    assert result.exit_code == 0
    model = tmp_path / "m" / "generator.pt"
    ours, theirs = generator_from(model)[0].state_dict(), generator_from(checkpoint)[0].state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert model.stat().st_size < 0.6 * checkpoint.stat().st_size
    card = (tmp_path / "m" / "README.md").read_text()
    assert "# x-001 t0001-abcdef" in card
    assert "S3 0.60 [0.40, 0.80]" in card
    assert "vgsearch train mvt_tsa --budget smoke --data data --seed 1 --set model.sigma_a=0.5" in card
    assert len(list((tmp_path / "m" / "clips").rglob("*.mp4"))) == 4 * 3
    assert "generator-grid-seed0.gif" in sample(model, "--codes", 1, "--out", tmp_path / "s")
    with pytest.raises(ConfigurationError, match="must be a new or empty folder"):
        export(experiment.folder, tmp_path / "m")
    with pytest.raises(UnreadableCheckpoint, match="holds a generator only"):
        networks_from(model)


def test_an_exported_folder_stands_for_its_model_with_the_names_of_its_classes(checkpoint, tmp_path):
    folder = tmp_path / "model"
    export(an_experiment(tmp_path / "x-001", checkpoint).folder, folder)
    (folder / "classes.json").write_text(json.dumps(["bend", "jack", "wave"]))
    assert chosen_checkpoint(folder) == folder / "generator.pt"
    assert "1 class x 1 code;" in sample(folder, "--codes", 1, "--classes", "jack")
    assert (folder / "samples" / "generator-grid-seed0.gif").is_file()


def test_an_export_that_fails_leaves_nothing_and_an_empty_folder_empty(checkpoint, tmp_path, monkeypatch):
    experiment = an_experiment(tmp_path / "x-001", checkpoint)
    monkeypatch.setattr("vgsearch.export.export.class_names", lambda *given: (["a", "b", "../c"], ""))
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        with pytest.raises(ConfigurationError, match="a class must be the name of one folder"):
            export(experiment.folder, tmp_path / name)
    assert not (tmp_path / "new").exists()
    assert not list((tmp_path / "empty").iterdir())
    monkeypatch.undo()
    assert (tmp_path / "empty" / "generator.pt") in export(experiment.folder, tmp_path / "empty")

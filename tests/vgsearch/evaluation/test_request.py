"""Which requests `vgsearch evaluate` refuses before Ray starts, and how it reads the others."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tests.standard_detector import StandIn, saved
from vgsearch.evaluation.measures import Opponent, classifiers_of
from vgsearch.evaluation.request import EvaluationPlan, EvaluationRequest, planned
from vgsearch.evaluation.standard_fvd import FVDOptions
from videogan.config import ConfigurationError, parse_config
from videogan.data.manifest import DataError, Manifest, write_manifest
from videogan.protocols import PROTOCOLS
from videogan.protocols.classifier import weights_file
from videogan.protocols.ladder import RUNGS
from videogan.shard import Shard
from videogan.training.checkpoint import CheckpointFolder, UnreadableCheckpoint, generator_from
from videogan.training.loop import Training
from videogan.training.run_config import RunConfig

CLASSES = ("bend", "jack")


def data_set(folder: Path, classes: tuple[str, ...] = CLASSES) -> Manifest:
    rows = [
        {"path": f"{label}/{i}.mp4", "sha": f"{label}{i}", "label": label, "group": f"{i}"}
        | {
            "split": "test" if i == 3 else "train",
            "n_frames": 20,
            "width": 120,
            "height": 120,
            "fps": 25.0,
            "codec": "h264",
        }
        for label in classes
        for i in range(4)
    ]
    return write_manifest(folder, rows)


def unlabelled_checkpoint(folder: Path, trained_on: str) -> Path:
    values = {
        "model": {"family": "tgan", "resolution": 32, "n_classes": 2, "width": 0.0625},
        "evaluation": {"protocol": "s3_r3d18_smoke_v2", "objective": "-kvd"},
    }
    training = Training(parse_config(RunConfig, values), lambda module: module, Shard(), "cpu")
    return CheckpointFolder(folder / "checkpoints").save(training.checkpoint(7, trained_on=trained_on))


def checkpoint(
    folder: Path, trained_on: str, every_nth: int = 1, evaluation: dict[str, object] | None = None, **model: object
) -> Path:
    values = {
        "model": {
            "family": "mvt",
            "variant": "mvt",
            "resolution": 32,
            "n_classes": 2,
            "channels": 2,
            "gru_hidden": 8,
            **model,
        },
        "data": {"every_nth": every_nth},
        "evaluation": {"protocol": "s3_r3d18_smoke_v2", **(evaluation or {})},
    }
    training = Training(parse_config(RunConfig, values), lambda module: module, Shard(), "cpu")
    return CheckpointFolder(folder / "checkpoints").save(training.checkpoint(7, trained_on=trained_on))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    data_set(folder)
    return folder


@pytest.fixture(scope="module")
def trial(tmp_path_factory, data) -> Path:
    """A trial's folder in an experiment on `data`; its checkpoint is of step 7."""
    experiment = tmp_path_factory.mktemp("experiment")
    folder = experiment / "trials" / "t0000-abcdef"
    checkpoint(folder, data_set(data).digest)
    (folder / "metrics.jsonl").write_text('{"step": 7}\n')
    (experiment / "sweep.yaml").write_text(yaml.safe_dump({"data": str(data)}))
    return folder


@pytest.fixture
def ckpt(trial) -> Path:
    return trial / "checkpoints" / "step00000007.pt"


def videos(folder: Path, counts: dict[str, int]) -> Path:
    """A folder of empty files with names of videos; a request decodes none."""
    for label, n in counts.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            (folder / label / f"{i}.mp4").touch()
    return folder


def names(plan: EvaluationPlan) -> list[str]:
    return [getattr(measure, "name", "blind_spots") for measure in plan.measures]


def refused(match: str, kind: type[Exception] = ConfigurationError, **request: object) -> None:
    with pytest.raises(kind, match=match):
        planned(EvaluationRequest(**request))


def test_a_request_names_exactly_one_subject(ckpt, data):
    refused("give one of CKPT, --videos DIR and --ladder DATA, got none")
    refused("got CKPT and --videos", checkpoint=ckpt, videos=data)
    refused("got CKPT and --videos and --ladder", checkpoint=ckpt, videos=data, ladder=data)


def test_a_checkpoint_sets_the_data_set_the_protocol_and_the_output_folder(ckpt, data, trial):
    plan = planned(EvaluationRequest(checkpoint=ckpt))
    assert plan.manifest.folder == data
    assert names(plan) == ["s3_r3d18_smoke_v2", "kvd_r3d18_smoke_v2", "blind_spots"]
    assert (plan.preprocessing, plan.step) == ("plain_32", 7)
    assert (plan.trial.folder, plan.out) == (trial, trial / "evaluations" / "step00000007")


def test_a_checkpoint_of_an_earlier_version_is_scored_by_todays_protocol(ckpt, data, tmp_path):
    stored = torch.load(ckpt, weights_only=True)
    stored["config"]["evaluation"]["protocol"] = "s3_r3d18_smoke_v1"
    torch.save(stored, tmp_path / "old.pt")
    plan = planned(EvaluationRequest(checkpoint=tmp_path / "old.pt", data=data))
    assert names(plan) == ["s3_r3d18_smoke_v2", "kvd_r3d18_smoke_v2", "blind_spots"]
    assert generator_from(tmp_path / "old.pt")[1].evaluation.protocol == "s3_r3d18_smoke_v2"


def test_a_generator_without_labels_has_no_s3(data, tmp_path):
    path = unlabelled_checkpoint(tmp_path, data_set(data).digest)
    assert names(planned(EvaluationRequest(checkpoint=path, data=data))) == ["kvd_r3d18_smoke_v2", "blind_spots"]
    refused("the tgan of .* generates without labels; use kvd", checkpoint=path, data=data, metrics="s3,kvd")


def test_a_checkpoint_outside_an_experiment_needs_data_and_gets_no_files_beside_it(ckpt, data, tmp_path):
    alone = tmp_path / "some" / "where" / "weights.pt"
    alone.parent.mkdir(parents=True)
    alone.write_bytes(ckpt.read_bytes())
    refused("belongs to no experiment with a known data set; give --data", checkpoint=alone)
    plan = planned(EvaluationRequest(checkpoint=alone, data=data))
    assert plan.trial is None
    assert plan.out == Path("runs/evaluations/weights")


def test_a_checkpoint_of_another_data_set_is_refused(ckpt, tmp_path):
    data_set(tmp_path, ("bend", "jack", "wave"))
    refused(
        "so it may have trained on those test clips. Give its own data set by --data", checkpoint=ckpt, data=tmp_path
    )


def test_a_missing_data_set_is_named_in_the_error(tmp_path, ckpt):
    folder = tmp_path / "trials" / "t0000-abcdef" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / ckpt.name).write_bytes(ckpt.read_bytes())
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({"data": str(tmp_path / "moved")}))
    refused("moved, which does not exist; give its folder by --data", checkpoint=folder / ckpt.name)


def test_budget_and_preprocessing_are_refused_for_a_checkpoint(ckpt):
    refused("--budget: a checkpoint has its own", checkpoint=ckpt, budget="smoke")
    refused("--preprocessing: a checkpoint has its own", checkpoint=ckpt, preprocessing="plain_32")


def test_a_file_that_is_not_a_checkpoint_is_refused(tmp_path):
    refused("does not exist", UnreadableCheckpoint, checkpoint=tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("text")
    refused("does not load", UnreadableCheckpoint, checkpoint=tmp_path / "text.pt")


def test_a_metric_has_a_short_name_one_with_its_classifier_and_a_full_one(data):
    plan = planned(EvaluationRequest(ladder=data, metrics="fid, s3_tsn,kvd_r3d18_smoke_v2,fid", budget="laptop"))
    assert names(plan) == ["fid_tsn_laptop_v2", "s3_tsn_laptop_v2", "kvd_r3d18_smoke_v2"]
    assert names(planned(EvaluationRequest(ladder=data, metrics="is,fvd", budget="paper"))) == [
        "is_c3d_v2",
        "fvd_i3d_v2",
    ]
    with pytest.raises(ConfigurationError) as caught:
        planned(EvaluationRequest(ladder=data, metrics="s3,blub"))
    assert "'blub' is unknown; it must be one of blind_spots, fid, fvd, gam, is, kvd, s3" in str(caught.value)
    assert len(str(caught.value)) < 150
    refused("'kdv' is unknown; did you mean 'kvd'", ladder=data, metrics="kdv")
    refused("--metrics must name at least one", ladder=data, metrics="")


def test_every_protocol_can_be_named(data):
    plan = planned(EvaluationRequest(ladder=data, metrics=",".join(PROTOCOLS)))
    assert names(plan) == list(PROTOCOLS)


def test_unknown_budgets_and_preprocessings_are_refused(data, tmp_path):
    refused("--budget 'laptpo' is unknown; did you mean 'laptop'", ladder=data, budget="laptpo")
    refused("--preprocessing: .*Did you mean plain_32", ladder=data, preprocessing="plian_32")
    assert planned(EvaluationRequest(ladder=data)).preprocessing == "plain_32"
    assert planned(EvaluationRequest(ladder=data, budget="paper")).preprocessing == "plain_96"
    (tmp_path / "file").touch()
    refused("is a file; give a folder", ladder=data, out=tmp_path / "file")


def test_gam_needs_two_checkpoints_of_the_same_clips(ckpt, data, tmp_path):
    assert planned(EvaluationRequest(checkpoint=ckpt, against=(ckpt,))).measures == (Opponent(str(ckpt)),)
    again = tmp_path / "again.pt"
    shutil.copy(ckpt, again)
    several = planned(EvaluationRequest(checkpoint=ckpt, against=(ckpt, again), metrics="kvd,gam")).measures
    assert several[1:] == (Opponent(str(ckpt)), Opponent(str(again))), "a row for each"
    refused("gam compares two checkpoints", checkpoint=ckpt, metrics="gam")
    refused("gam compares two checkpoints", ladder=data, metrics="gam")
    refused("--against compares two checkpoints", ladder=data, against=(ckpt,))
    refused("--against is for gam, which --metrics kvd does not name", checkpoint=ckpt, against=(ckpt,), metrics="kvd")
    other = checkpoint(tmp_path / "a", "another manifest")
    refused("both models must have the same train split", checkpoint=ckpt, against=(other,))
    larger = checkpoint(tmp_path / "b", data_set(data).digest, resolution=64)
    refused("the same preprocessing, got plain_64, .* has plain_32", checkpoint=ckpt, against=(larger,))
    faster = checkpoint(tmp_path / "c", data_set(data).digest, every_nth=2)
    refused("the same every_nth, got 2, .* has 1", checkpoint=ckpt, against=(faster,))
    assert planned(EvaluationRequest(checkpoint=faster, data=data)).data.every_nth == 2


def test_one_class_has_no_s3_and_no_inception_score(tmp_path):
    data_set(tmp_path / "data", ("digits",))
    assert names(planned(EvaluationRequest(ladder=tmp_path / "data"))) == ["kvd_r3d18_laptop_v2", "blind_spots"]
    for metric in ("s3", "is"):
        refused("needs at least 2 classes, .* has one; use kvd", ladder=tmp_path / "data", metrics=f"kvd,{metric}")
    flat = videos(tmp_path, {"flat": 2}) / "flat"
    plan = planned(EvaluationRequest(videos=flat, data=tmp_path / "data"))
    assert [video.label for video in plan.videos] == ["digits", "digits"]


def test_a_rung_is_named_by_the_beginning_of_its_name(data):
    held_back, noise = "held-back clips, other windows", "noise"
    assert planned(EvaluationRequest(ladder=data)).rungs == tuple(RUNGS)
    assert planned(EvaluationRequest(ladder=data, rungs=("noise", "held"))).rungs == (held_back, noise)
    refused("--rung 'shuffled' could be shuffled frames or shuffled labels", ladder=data, rungs=("shuffled",))
    refused("--rung 'nioes' is unknown; did you mean 'noise'", ladder=data, rungs=("nioes",))
    refused("--rung '' is unknown", ladder=data, rungs=("",))
    refused("--rung names a rung of --ladder DATA", videos=data, data=data, rungs=("noise",))


def test_a_ladder_uses_one_classifier_that_sees_the_order_of_frames_and_one_that_does_not(data):
    plan = planned(EvaluationRequest(ladder=data))
    assert names(plan)[:2] == ["s3_r3d18_laptop_v2", "s3_tsn_laptop_v2"]
    assert plan.out == Path(f"runs/evaluations/{data.name}-ladder")
    refused("leave out --data", ladder=data, data=data)


def test_a_ladder_needs_training_groups_in_two_halves_with_every_class(tmp_path):
    fit, split = {"n_frames": 20, "width": 40, "height": 40, "fps": 25.0, "codec": "h264"}, ("train", "train", "test")
    rows = [{"path": f"{label}/{i}.mp4", "sha": f"{label}{i}", "label": label, "split": split[i], **fit}
            for label in CLASSES for i in range(3)]  # fmt: skip
    write_manifest(tmp_path / "halves", [{**row, "group": row["sha"][-1]} for row in rows])
    assert planned(EvaluationRequest(ladder=tmp_path / "halves")).measures
    # One training group that both classes need.
    write_manifest(tmp_path / "one", [{**row, "group": row["split"]} for row in rows])
    refused(
        "--ladder .*one: real classifiers are fitted on half of the groups of train and select, but the 1 groups cannot "
        "be halved so that both halves have every class; import clips of more groups",
        DataError,
        ladder=tmp_path / "one",
    )
    assert planned(
        EvaluationRequest(videos=videos(tmp_path / "made", dict.fromkeys(CLASSES, 2)), data=tmp_path / "one")
    )


def test_videos_have_the_classes_of_the_data_set_and_at_least_two_of_each(data, tmp_path):
    made = videos(tmp_path / "made", {"bend": 2, "jack": 3})
    plan = planned(EvaluationRequest(videos=made, data=data))
    assert {(v.label, v.path.is_absolute()) for v in plan.videos} == {("bend", True), ("jack", True)}
    assert plan.out == Path(f"runs/evaluations/made-on-{data.name}")
    refused("--videos needs --data", videos=made)
    other = videos(tmp_path / "other", {"bend": 2, "jakc": 2})
    refused("other/jakc: the data set has no class 'jakc'; did you mean 'jack'", DataError, videos=other, data=data)
    few = videos(tmp_path / "few", {"bend": 1})
    refused("at least 2 videos, .* got 1 of bend, 0 of jack", DataError, videos=few, data=data)
    refused("must be in one folder for each class", DataError, videos=few / "bend", data=data)
    refused("none: no such folder", DataError, videos=tmp_path / "none", data=data)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Weights of a 3-D ResNet-18 of the smoke protocols' width, for another number of classes."""
    path = tmp_path_factory.mktemp("weights") / "r3d18.pt"
    network = PROTOCOLS["s3_r3d18_smoke_v2"].classifier.build(n_classes=5, seed=1).network
    torch.save(network.state_dict(), path)
    return path


def test_weights_make_another_protocol_and_are_not_trained_for_distances(data, weights):
    request = EvaluationRequest(ladder=data, metrics="s3,is_r3d18,kvd,fid_r3d18,blind_spots", budget="smoke")
    plain, own = planned(request), planned(EvaluationRequest(**{**vars(request), "classifier_weights": weights}))
    assert all(name.startswith(f"{before}+") for name, before in zip(names(own)[:-1], names(plain)[:-1], strict=True))
    trained = [getattr(measure, "classifier", measure) for measure in own.measures]
    assert [getattr(classifier, "trained", None) for classifier in trained[:-1]] == [True, True, False, False]
    assert all(classifier.weights.path == str(weights) for classifier in classifiers_of(own.measures))
    assert len(own.notes) == 1
    assert "the classification layer must be" in own.notes[0]
    assert plain.notes == ()


def test_weights_that_fit_no_network_or_one_of_several_are_refused_before_anything_starts(
    data, weights, ckpt, tmp_path
):
    given = {"ladder": data, "budget": "smoke", "classifier_weights": weights}
    refused("fits one network, the metrics take r3d18 of width 8 and i3d of width 8", **given, metrics="s3,fvd")
    refused("must be those of a TSN", **given, metrics="s3_tsn")
    refused("cannot read this file of classifier weights", **{**given, "classifier_weights": tmp_path / "none.pt"})
    refused("must be a dict of tensors by name", **{**given, "classifier_weights": ckpt}, metrics="s3")
    refused("no metric here uses a classifier", checkpoint=ckpt, against=(ckpt,), classifier_weights=weights)


def test_a_checkpoint_scored_with_weights_is_evaluated_with_them_where_they_fit(data, weights, tmp_path):
    own = weights_file(weights).model_dump()
    path = checkpoint(tmp_path, data_set(data).digest, evaluation={"classifier_weights": own})
    plan = planned(EvaluationRequest(checkpoint=path, data=data, metrics="s3,kvd,s3_tsn"))
    digits = own["sha256"][:6]
    plain = names(planned(EvaluationRequest(ladder=data, metrics="s3,kvd,s3_tsn", budget="smoke")))
    assert names(plan) == [f"{plain[0]}+{digits}", f"{plain[1]}+{digits}", plain[2]]


def test_the_papers_schedule_can_be_evaluated_and_is_called_a_leak_before_it_starts(data, ckpt):
    paper = [name for name in PROTOCOLS if "_paper_" in name]
    plan = planned(EvaluationRequest(checkpoint=ckpt, metrics=f"kvd,{','.join(paper)}"))
    assert names(plan)[1:] == paper
    assert [note.partition(":")[0] for note in plan.notes] == paper
    assert all(": leak: " in note for note in plan.notes)
    assert planned(EvaluationRequest(ladder=data, metrics="s3_tsn_paper", budget="paper")).notes


def test_classifiers_are_shared_by_the_measures_that_need_the_same_one():
    s3, kvd = PROTOCOLS["s3_r3d18_smoke_v2"], PROTOCOLS["kvd_r3d18_smoke_v2"]
    assert classifiers_of([kvd, s3, s3.classifier, Opponent("b.pt")]) == {s3.classifier: (0, 1, 2)}
    np.testing.assert_equal(classifiers_of([Opponent("b.pt")]), {})


@pytest.mark.parametrize(("budget", "times"), [("laptop", 2), ("smoke", 1)])
def test_a_ladder_fits_the_cosine_of_s3_for_twice_the_epochs_because_it_has_half_of_the_clips(
    data: Path, tmp_path: Path, budget: str, times: int
):
    (of_ladder,) = planned(EvaluationRequest(ladder=data, metrics="s3", budget=budget)).measures
    of_score = PROTOCOLS[of_ladder.name]
    assert of_ladder.classifier.recipe.max_epochs == times * of_score.classifier.recipe.max_epochs
    made = videos(tmp_path, dict.fromkeys(CLASSES, 2))
    (of_videos,) = planned(EvaluationRequest(videos=made, data=data, metrics="s3", budget=budget)).measures
    assert of_videos == of_score


@pytest.fixture
def detector(tmp_path) -> Path:
    return Path(saved(StandIn(), tmp_path / "i3d.pt").path)


def test_a_trusted_detector_makes_the_fields_fvd_the_only_metric_and_frees_videos_of_classes(data, detector, tmp_path):
    made = videos(tmp_path / "made", {"any": 2, "thing": 1})
    plan = planned(EvaluationRequest(videos=made, data=data, fvd=FVDOptions(detector), preprocessing="plain_32"))
    assert [name.partition("+")[0] for name in names(plan)] == ["fvd_2048x16_train"]
    assert {video.label for video in plan.videos} == {"videos"}
    assert len(plan.videos) == 3
    assert any("i3d.pt (sha256 " in note and "is run, as --trust-torchscript allows" in note for note in plan.notes)
    with_labels = {"videos": made, "data": data, "fvd": FVDOptions(detector), "preprocessing": "plain_32"}
    refused("the data set has no class 'any'", DataError, **with_labels, metrics="kvd,standard_fvd")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "0.mp4").touch()
    refused("a distance needs at least 2 videos, got 1", DataError, **with_labels | {"videos": tmp_path / "one"})


def test_the_fields_fvd_needs_its_detector_and_its_options_need_it(data, ckpt, detector, tmp_path):
    refused(
        "standard_fvd needs the field's detector: --trust-torchscript FILE", checkpoint=ckpt, metrics="standard_fvd"
    )
    refused("are for standard_fvd; add it to", checkpoint=ckpt, metrics="kvd", fvd=FVDOptions(detector))
    refused("are for standard_fvd; add it to", checkpoint=ckpt, fvd=FVDOptions(n_frames=32))
    refused("depends on the resolution", videos=data, data=data, fvd=FVDOptions(detector))
    refused("'tran' is unknown; did you mean 'train'", checkpoint=ckpt, fvd=FVDOptions(detector, real="tran"))
    refused("some of these clips", ladder=data, fvd=FVDOptions(detector, real="all"), preprocessing="plain_32")
    refused("cannot read this detector", checkpoint=ckpt, fvd=FVDOptions(tmp_path / "gone.pt"))


def test_other_numbers_of_frames_are_for_the_fields_fvd_alone_and_only_where_clips_and_detector_have_them(
    ckpt, detector
):
    plan = planned(EvaluationRequest(checkpoint=ckpt, fvd=FVDOptions(detector, n_clips=4, n_frames=12, real="all")))
    assert plan.n_frames == 12
    assert names(plan)[0].startswith("fvd_4x12_all+")
    refused(
        "the other metrics take 16 frames",
        checkpoint=ckpt,
        metrics="kvd,standard_fvd",
        fvd=FVDOptions(detector, n_frames=12),
    )
    refused("20 frames decode, 21 are needed", DataError, checkpoint=ckpt, fvd=FVDOptions(detector, n_frames=21))
    refused("of clips of 9 frames failed: .*needs 10 frames", checkpoint=ckpt, fvd=FVDOptions(detector, n_frames=9))


def test_no_torchscript_is_loaded_without_the_option(ckpt, data, detector, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("torch.jit.load ran")

    monkeypatch.setattr(torch.jit, "load", refuse)
    planned(EvaluationRequest(checkpoint=ckpt, metrics="kvd,fvd"))
    with pytest.raises(AssertionError, match=r"torch\.jit\.load ran"):
        planned(EvaluationRequest(checkpoint=ckpt, fvd=FVDOptions(detector)))

"""S3 with trained classifiers: 1 on real clips, chance on noise, with intervals and warnings."""

import dataclasses
import json
import math

import pytest
import torch

from videogan.classifiers.fit import LabelledClips, features, predict
from videogan.metrics.s3 import accuracy, s3_of_guessing
from videogan.protocols.classifier import fit_on_real
from videogan.protocols.ladder import RUNGS
from videogan.protocols.s3 import S3Protocol, look, s3_evaluation


@pytest.fixture(scope="module")
def protocol(tiny) -> S3Protocol:
    return S3Protocol(name="tiny", classifier=tiny, seeds=(0, 1))


@pytest.fixture(scope="module")
def brief(tiny) -> S3Protocol:
    """A short protocol for tests that do not depend on how well synthetic-trained classifiers learn."""
    recipe = tiny.recipe.model_copy(update={"max_epochs": 1})
    return S3Protocol(name="tiny", classifier=tiny.model_copy(update={"recipe": recipe}), seeds=(0, 1))


@pytest.fixture(scope="module")
def synthesise(coloured_frames):
    """Clips from the distribution of the real ones, different for each purpose and seed."""
    return lambda purpose, labels, seed: coloured_frames(labels, 100 + 10 * seed + len(purpose))


@pytest.fixture(scope="module")
def result(protocol, real, train, test, synthesise):
    return s3_evaluation(protocol, "d1", real, train, test, synthesise)


def test_the_digest_changes_with_all_that_a_score_depends_on(protocol, facts):
    digest = protocol.digest(facts)
    assert digest == S3Protocol(**protocol.model_dump()).digest(facts)
    assert digest != protocol.classifier.digest(facts)
    changes = (
        {"name": "other"},
        {"seeds": (0, 2)},
        {"classifier": protocol.classifier.model_copy(update={"width": 8})},
    )
    others = [protocol.model_copy(update=change).digest(facts) for change in changes]
    others.append(protocol.digest(dataclasses.replace(facts, manifest_digest="cd")))
    assert len({digest, *others}) == 1 + len(others)


def test_a_classifier_that_is_not_trained_has_no_s3(tiny):
    given = {"path": "w.pt", "sha256": "ab" * 32}
    classifier = tiny.model_validate(tiny.model_dump() | {"weights": given, "trained": False})
    with pytest.raises(ValueError, match="needs a classifier that is trained, got trained = false"):
        S3Protocol(name="x", classifier=classifier)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_s3_of_the_real_clips_is_exactly_one_even_with_poor_classifiers(protocol, train, test, precision):
    recipe = protocol.classifier.recipe.model_copy(update={"precision": precision, "max_epochs": 2, "lr": 0.005})
    classifier = protocol.classifier.model_copy(update={"recipe": recipe, "dropout": 0.3})
    # A third of the labels is wrong, so a classifier that recognises colours errs on them.
    sets = []
    for clips in (train, test):
        labels = torch.where(torch.arange(len(clips)) % 9 < 3, (clips.labels + 1) % 3, clips.labels)
        sets.append(dataclasses.replace(clips, labels=labels))
    real = [fit_on_real(classifier, *sets, seed) for seed in protocol.seeds]
    result = s3_evaluation(
        S3Protocol(name="x", classifier=classifier, seeds=(0, 1)), "d", real, *sets, RUNGS["real"](*sets)
    )
    assert 0 < result.rer.mean < 0.9
    assert result.per_seed["s3"] == [1, 1]
    assert result.s3 == (1, 1, 1)
    assert result.per_seed["ser"] == result.per_seed["res"] == result.per_seed["rer"] == [c.rer for c in real]
    assert result.confusion["ser"] == result.confusion["res"] == result.confusion["rer"]


def test_clips_like_real_ones_score_near_one(result):
    assert result.rer.mean > 0.9
    assert result.s3.mean == pytest.approx(1, abs=0.1)
    assert result.s3_chance_corrected.mean > 0.8
    assert result.s3_of_guessing == s3_of_guessing(result.rer.mean, 3)
    assert not any("below 0.9" in warning or "copies" in warning for warning in result.warnings)
    assert (result.n_train, result.n_test, result.n_classes) == (48, 24, 3)
    assert (result.seeds, result.protocol, result.digest) == ([0, 1], "tiny", "d1")


def test_each_seed_requests_one_synthetic_train_and_test_set_of_the_real_labels(brief, real, train, test, synthesise):
    reported, requests = [], []

    def noted(purpose, labels, seed):
        requests.append((purpose, seed))
        assert torch.equal(labels, (train if purpose == "train" else test).labels)
        return synthesise(purpose, labels, seed)

    s3_evaluation(brief, "d1", real, train, test, noted, lambda done, total: reported.append((done, total)))
    assert sorted(requests) == [("test", 0), ("test", 1), ("train", 0), ("train", 1)]
    assert reported == [(1, 2), (1, 2), (2, 2), (2, 2)], "each epoch, and the end of a training, which may stop early"


def test_a_score_depends_only_on_its_seeds(brief, real, train, test, synthesise):
    def found():
        torch.rand(3)  # other draws must not matter
        return s3_evaluation(brief, "d1", real, train, test, synthesise).to_json()

    assert found() == found()


def test_noise_scores_at_chance_and_the_result_warns_of_it(protocol, real, train, test):
    result = s3_evaluation(protocol, "d1", real, train, test, RUNGS["noise"](train, test))
    assert result.res.mean == pytest.approx(1 / 3, abs=0.1)
    assert result.s3.mean < result.s3_of_guessing + 0.2
    assert any("SeR's interval" in warning and "includes chance (0.333)" in warning for warning in result.warnings)


def test_wrong_labels_score_far_below_right_ones(protocol, real, train, test):
    result = s3_evaluation(protocol, "d1", real[:1], train, test, RUNGS["shuffled labels"](train, test))
    assert result.res.mean == pytest.approx(1 / 3, abs=0.2)
    assert result.s3.mean < 0.65


def test_copied_training_clips_score_near_one(protocol, real, train, test):
    result = s3_evaluation(protocol, "d1", real[:1], train, test, RUNGS["copied train clips"](train, test))
    assert result.per_seed["ser"] == result.per_seed["rer"], "their classifiers were trained on the very same clips"
    assert result.s3.mean == pytest.approx(1, abs=0.1)


def test_confusion_counts_every_test_clip_of_every_seed_and_holds_the_accuracies(result, test):
    for name, matrix in result.confusion.items():
        counts = torch.tensor(matrix)
        assert counts.sum(1).tolist() == (2 * torch.bincount(test.labels)).tolist()
        assert counts.trace().item() / counts.sum().item() == pytest.approx(getattr(result, name).mean)
        assert result.per_class[name] == pytest.approx((counts.diagonal() / counts.sum(1)).tolist())


def test_bootstrap_intervals_surround_the_means(result):
    for name in ("s3", "ser", "res", "rer", "s3_chance_corrected"):
        interval = result.bootstrap[name]
        assert interval.mean == pytest.approx(getattr(result, name).mean)
        assert interval.low <= interval.mean <= interval.high


def test_a_class_without_test_clips_has_no_accuracy_and_json_says_null(brief, real, train, test, synthesise):
    kept = (test.labels != 1).nonzero().flatten()
    less = [dataclasses.replace(classifier, predictions=classifier.predictions[kept]) for classifier in real]
    result = s3_evaluation(brief, "d1", less, train, test.subset(kept), synthesise)
    assert math.isnan(result.per_class["res"][1])
    found = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert found["per_class"]["res"][1] is None
    assert found["confusion"]["res"][1] == [0, 0, 0]
    assert found["s3"]["mean"] > 0


def test_a_class_without_training_clips_is_refused_by_its_number(brief, real, train, test, synthesise):
    less = train.subset((train.labels != 2).nonzero().flatten())
    with pytest.raises(ValueError, match=r"tiny needs training clips of each class, got none of \[2\]"):
        s3_evaluation(brief, "d1", real, less, test, synthesise)


def test_one_class_is_refused(brief, real, train, test, synthesise):
    one, other = (LabelledClips(c.frames, torch.zeros_like(c.labels), 1) for c in (train, test))
    with pytest.raises(ValueError, match="needs at least 2 classes, got 1; use kvd"):
        s3_evaluation(brief, "d1", real, one, other, synthesise)


def test_s3_is_undefined_and_null_in_json_if_no_real_clip_is_recognised(brief, real, train, test, synthesise):
    hopeless = [dataclasses.replace(c, predictions=(test.labels + 1) % 3, rer=0.0) for c in real]
    result = s3_evaluation(brief, "d1", hopeless, train, test, synthesise)
    assert math.isnan(result.s3.mean)
    assert any("ReR is 0.000, below 0.9" in warning for warning in result.warnings)
    found = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert found["s3"] == {"mean": None, "low": None, "high": None}
    assert found["rer"]["mean"] == 0
    assert found["per_seed"]["s3"] == [None, None]
    assert found["s3_of_guessing"] is None


def test_one_seed_has_no_interval_over_seeds_and_is_compared_with_chance_over_clips(brief, real, train, test):
    result = s3_evaluation(brief, "d1", real[:1], train, test, RUNGS["noise"](train, test))
    assert math.isnan(result.s3.low)
    assert "one classifier seed: the scores have no interval over seeds." in result.warnings
    assert any("includes chance" in warning for warning in result.warnings)
    assert result.bootstrap["ser"].low <= 1 / 3


def test_one_test_clip_is_scored_and_has_no_interval_over_clips(brief, real, train, test, synthesise):
    first = torch.tensor([0])
    alone = [dataclasses.replace(c, predictions=c.predictions[first]) for c in real]
    result = s3_evaluation(brief, "d1", alone, train, test.subset(first), synthesise)
    assert result.n_test == 1
    assert math.isnan(result.bootstrap["ser"].low)
    json.dumps(result.to_json(), allow_nan=False)


def test_copies_among_synthetic_clips_get_a_warning(brief, real, train, test, synthesise):
    def collapsed(purpose, labels, seed):
        clips = synthesise(purpose, labels, seed)
        return clips[labels] if purpose == "train" else clips  # the first three clips are of class 0, 1 and 2

    result = s3_evaluation(brief, "d1", real, train, test, collapsed)
    assert "only 3 of 48 clips of the synthetic train set differ: the others are copies of them." in result.warnings
    assert not any("synthetic test set" in warning for warning in result.warnings)


def test_clips_of_another_shape_than_the_real_ones_are_refused(brief, real, train, test, synthesise):
    def smaller(purpose, labels, seed):
        return synthesise(purpose, labels, seed)[:, :, ::2, ::2]

    with pytest.raises(ValueError, match=r"must be uint8 \(24, 8, 32, 32, 3\).* got torch.uint8 \(24, 8, 16, 16, 3\)"):
        s3_evaluation(brief, "d1", real, train, test, smaller)


def test_a_summary_leaves_out_fields_that_grow_with_the_classes(result):
    assert set(result.to_json()) - set(result.summary()) == {"confusion", "per_class"}


def test_a_look_is_the_accuracy_of_a_real_trained_classifier_on_synthetic_clips(tiny, real, test, synthesise):
    network = real[0].network(tiny)
    frames = synthesise("look", test.labels, 9)
    sample_features = features(network, frames, tiny.recipe, "penultimate")
    assert (
        look(tiny, network, sample_features, test.labels)
        == accuracy(predict(network, frames, tiny.recipe), test.labels)
        > 0.9
    )
    assert look(tiny, network, sample_features, (test.labels + 1) % 3) < 0.1

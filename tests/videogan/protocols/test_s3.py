"""S3 with trained classifiers: 1 on real clips, chance on noise, with intervals and warnings."""

import dataclasses
import json
import math

import pytest
import torch

from tests.builders import real_clips
from videogan.classifiers.fit import features, predict
from videogan.data.clip_set import LabelledClips, RealClips, all_windows
from videogan.metrics.interval import Interval
from videogan.metrics.s3 import accuracy, s3_of_guessing, whole_interval
from videogan.protocols.classifier import fit_on_real
from videogan.protocols.ladder import RUNGS, clips_of_labels
from videogan.protocols.s3 import RealSide, S3Protocol, findings, look, s3_evaluation

ROUNDING = 1e-12  # of means over clips of weight 1 / n


@pytest.fixture(scope="module")
def protocol(tiny) -> S3Protocol:
    return S3Protocol(name="tiny", classifier=tiny, seeds=(0, 1), n_samples=48)


@pytest.fixture(scope="module")
def brief(tiny) -> S3Protocol:
    """A short protocol for tests that do not depend on how well synthetic-trained classifiers learn."""
    recipe = tiny.recipe.model_copy(update={"max_epochs": 1})
    return S3Protocol(name="tiny", classifier=tiny.model_copy(update={"recipe": recipe}), seeds=(0, 1), n_samples=48)


@pytest.fixture(scope="module")
def frames_like_real(coloured_frames):
    """Frames from the distribution of the real ones, different for each purpose and seed."""
    return lambda purpose, labels, seed: coloured_frames(labels, 100 + 10 * seed + len(purpose))


@pytest.fixture(scope="module")
def synthesise(made_of, frames_like_real):
    return made_of(frames_like_real)


@pytest.fixture(scope="module")
def result(protocol, side, synthesise):
    return s3_evaluation(protocol, "d1", side, synthesise)


def side_of(classifiers, train, test) -> RealSide:
    return RealSide(classifiers, train, test, "test", train)


def of(clips, rows) -> LabelledClips:
    """The clips at `rows`."""
    groups = None if clips.groups is None else tuple(clips.groups[row] for row in rows)
    return LabelledClips(clips.frames[rows], clips.labels[rows], clips.n_classes, groups)


def test_seeds_judged_apart_have_the_score_of_all_to_the_last_digit(brief, side, synthesise):
    done: list[tuple[int, int]] = []
    one = findings(brief, side, synthesise, [1], lambda *progress: done.append(progress))
    assert (list(one), done[-1]) == ([1], (1, 1))
    whole, apart = s3_evaluation(brief, "d", side, synthesise), s3_evaluation(brief, "d", side, synthesise, found=one)
    assert json.dumps(apart.to_json()) == json.dumps(whole.to_json())
    other = findings(brief, side, synthesise, [0])[0]
    assert not torch.equal(other.ser, one[1].ser)
    swapped = s3_evaluation(brief, "d", side, synthesise, found={1: other})
    assert swapped.per_seed["ser"] == [whole.per_seed["ser"][0]] * 2, "what is found is not computed again"


def test_the_digest_changes_with_all_that_a_score_depends_on(protocol, facts):
    digest = protocol.digest(facts, "test")
    assert digest == S3Protocol(**protocol.model_dump()).digest(facts, "test")
    assert digest != protocol.classifier.digest(facts)
    recipe = protocol.classifier.recipe.model_copy(update={"n_windows": 9})
    changes = (
        {"name": "other"},
        {"seeds": (0, 2)},
        {"n_samples": 49},
        {"classifier": protocol.classifier.model_copy(update={"width": 8})},
        {"classifier": protocol.classifier.model_copy(update={"test_windows": 9})},
        {"classifier": protocol.classifier.model_copy(update={"recipe": recipe})},
    )
    others = [protocol.model_copy(update=change).digest(facts, "test") for change in changes]
    others.append(protocol.digest(dataclasses.replace(facts, manifest_digest="cd"), "test"))
    others.append(protocol.digest(facts, "select"))
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
    real = [fit_on_real(classifier, sets[0], {"test": sets[1]}, seed) for seed in protocol.seeds]
    # 48 samples over two seeds: each of the 24 test clips is recognised once a seed.
    scored = S3Protocol(name="x", classifier=classifier, seeds=(0, 1), n_samples=48)
    result = s3_evaluation(
        scored, "d", side_of(real, *sets),
        lambda purpose, labels, seed: sets[0] if purpose == "train" else clips_of_labels(sets[1], labels, seed),
    )  # fmt: skip
    assert 0 < result.rer.mean < 0.9
    assert result.per_seed["ser"] == result.per_seed["rer"] == [c.rer["test"] for c in real]
    assert result.per_seed["res"] == pytest.approx(result.per_seed["rer"])
    assert result.per_seed["s3"] == pytest.approx([1, 1])
    assert result.over_seeds["s3"] == pytest.approx((1, 1, 1))
    assert result.confusion["ser"] == result.confusion["rer"]
    windows = classifier.test_windows
    assert [[windows * n for n in row] for row in result.confusion["res"]] == result.confusion["rer"]


@pytest.fixture(scope="module")
def videos(coloured_frames) -> dict[str, RealClips]:
    """Real clips of 12 frames with 5 windows of 8, which darken with time."""

    def clips(n: int, seed: int) -> RealClips:
        labels = torch.arange(n) % 3
        frames = torch.cat([coloured_frames(labels, seed), coloured_frames(labels, seed + 100)[:, :4]], 1)
        darker = (frames.float() * torch.linspace(1, 0.3, 12)[:, None, None, None]).to(torch.uint8)
        return real_clips(list(darker), labels.tolist(), [f"{seed}-{i // 3}" for i in range(n)], n_frames=8)

    return {"train": clips(30, 1), "test": clips(18, 2)}


def test_a_training_set_of_the_very_windows_of_the_real_fit_has_exactly_its_accuracy(brief, videos):
    recipe = brief.classifier.recipe.model_copy(update={"max_epochs": 3, "n_windows": 2, "min_updates_per_epoch": 6})
    classifier = brief.classifier.model_copy(update={"recipe": recipe, "dropout": 0.3})
    protocol = brief.model_copy(update={"classifier": classifier})
    real = [fit_on_real(classifier, videos["train"], {"test": videos["test"]}, seed) for seed in (0, 1)]

    def same(purpose, labels, seed):
        return (videos["train"] if purpose == "train" else videos["test"]).random(seed)

    protocol = protocol.model_copy(update={"n_samples": 36})  # 18 a seed, as many as test clips
    result = s3_evaluation(protocol, "d", side_of(real, videos["train"], videos["test"]), same)
    assert result.per_seed["ser"] == result.per_seed["rer"] == [c.rer["test"] for c in real]
    assert torch.tensor(result.confusion["ser"]).sum() == 2 * 18 * classifier.test_windows, "each window of each clip"


def test_clips_like_real_ones_score_near_one(result):
    assert result.rer.mean > 0.9
    assert result.s3.mean == pytest.approx(1, abs=0.1)
    assert result.s3_chance_corrected.mean > 0.8
    assert result.s3_of_guessing == s3_of_guessing(result.rer.mean, 3)
    assert not any("below 90 %" in warning or "copies" in warning for warning in result.warnings)
    assert (result.n_train, result.n_test, result.n_classes) == (48, 24, 3)
    assert (result.seeds, result.protocol, result.digest) == ([0, 1], "tiny", "d1")


def test_each_seed_requests_a_train_set_of_the_real_labels_and_a_balanced_test_set(brief, side, train, synthesise):
    reported, requests = [], []
    balanced = torch.arange(3).repeat_interleave(8)

    def noted(purpose, labels, seed):
        requests.append((purpose, seed))
        assert torch.equal(labels, train.labels if purpose == "train" else balanced)
        return synthesise(purpose, labels, seed)

    s3_evaluation(brief, "d1", side, noted, lambda done, total: reported.append((done, total)))
    assert sorted(requests) == [("test", 0), ("test", 1), ("train", 0), ("train", 1)]
    assert reported == [(1, 2), (1, 2), (2, 2), (2, 2)], "each epoch, and the end of a training, which may stop early"


def test_a_score_depends_only_on_its_seeds(brief, side, synthesise):
    def found():
        torch.rand(3)  # other draws must not matter
        return s3_evaluation(brief, "d1", side, synthesise).to_json()

    assert found() == found()


def test_noise_scores_at_chance_and_the_result_warns_of_it(protocol, side, parts):
    result = s3_evaluation(protocol, "d1", side, RUNGS["noise"](parts))
    assert result.res.mean == pytest.approx(1 / 3, abs=0.1)
    assert result.s3.mean < result.s3_of_guessing + 0.2
    assert any("SeR's interval" in warning and "includes chance (33.3 %)" in warning for warning in result.warnings)


def test_wrong_labels_score_far_below_right_ones(protocol, side, parts):
    first = dataclasses.replace(side, classifiers=side.classifiers[:1])
    result = s3_evaluation(protocol, "d1", first, RUNGS["shuffled labels"](parts))
    assert result.res.mean == pytest.approx(1 / 3, abs=0.2)
    assert result.s3.mean < 0.65


@pytest.mark.parametrize("rung", ["training clips, other windows", "held-back clips, other windows"])
def test_copied_training_clips_and_unseen_real_clips_both_score_near_one(protocol, side, parts, rung):
    first = dataclasses.replace(side, classifiers=side.classifiers[:1])
    recipe = protocol.classifier.recipe.model_copy(update={"max_epochs": 10})
    classifier = protocol.classifier.model_copy(update={"recipe": recipe})
    longer = protocol.model_copy(update={"classifier": classifier, "seeds": (0,)})
    result = s3_evaluation(longer, "d1", first, RUNGS[rung](parts))
    assert result.ser.mean == pytest.approx(result.rer.mean, abs=0.1)
    assert result.s3.mean == pytest.approx(1, abs=0.1)


def test_confusion_counts_every_window_and_every_sample_of_every_seed_and_holds_the_accuracies(result, test):
    of_real = 2 * result.n_windows * torch.bincount(test.labels)
    for name, matrix in result.confusion.items():
        counts = torch.tensor(matrix)
        assert counts.sum(1).tolist() == ([16, 16, 16] if name == "res" else of_real.tolist())
        assert counts.trace().item() / counts.sum().item() == pytest.approx(getattr(result, name).mean)
        assert result.per_class[name] == pytest.approx((counts.diagonal() / counts.sum(1)).tolist())


def test_bootstrap_intervals_surround_the_means(result):
    for name in ("s3", "ser", "res", "rer", "s3_chance_corrected"):
        interval = result.bootstrap[name]
        assert interval.mean == pytest.approx(getattr(result, name).mean)
        assert interval.low - ROUNDING <= interval.mean <= interval.high + ROUNDING


def test_a_score_s_interval_covers_groups_clips_and_seeds(result):
    for name in ("s3", "ser", "res", "rer", "s3_chance_corrected"):
        whole, over_clips, over_seeds = getattr(result, name), result.bootstrap[name], result.over_seeds[name]
        highest = 1.0 if name in ("ser", "res", "rer") else math.inf
        assert whole == whole_interval(over_seeds, over_clips, highest)
        assert whole.low <= max(0, min(over_clips.low, over_seeds.low)) + ROUNDING
    assert result.covers == "8 groups of 24 clips, 2 classifier seeds"
    assert (result.n_groups, result.n_windows, result.split) == (8, 2, "test")


@pytest.mark.parametrize(("n_samples", "n"), [(1, 6), (48, 48), (49, 54), (1000, 1002)])
def test_res_is_on_at_least_the_promised_samples_equally_many_of_each_class(brief, test, n_samples, n):
    labels = brief.model_copy(update={"n_samples": n_samples}).test_labels(test)
    assert torch.bincount(labels).tolist() == [n // 6] * 3
    assert 2 * len(labels) == n >= n_samples


def test_res_weights_classes_like_the_real_clips_although_samples_are_balanced(brief, side, test, synthesise):
    rows = [i for i in range(24) if test.labels[i] != 1 or i < 9]  # 8, 3 and 8 clips of the classes
    few = [dataclasses.replace(c, predictions={"test": c.predictions["test"][:, rows]}) for c in side.classifiers]

    def wrong_class_0(purpose, labels, seed):
        return synthesise(purpose, torch.where(labels == 0, 1, labels), seed)

    result = s3_evaluation(brief, "d", dataclasses.replace(side, classifiers=few, scored=of(test, rows)), wrong_class_0)
    by_class = torch.tensor(result.per_class["res"], dtype=torch.float64)
    assert by_class[0] < 0.2
    assert result.res.mean == pytest.approx((by_class @ torch.tensor([8, 3, 8]).double() / 19).item())
    assert result.n_samples == 48


def test_few_groups_get_a_warning_that_says_how_many(brief, side, test, synthesise):
    def warnings(n_groups: int) -> list[str]:
        scored = dataclasses.replace(test, groups=tuple(f"g{i % n_groups}" for i in range(24)))
        first = dataclasses.replace(side, classifiers=side.classifiers[:1], scored=scored)
        return s3_evaluation(brief, "d", first, synthesise).warnings

    assert "the intervals rest on 4 groups of clips, fewer than 5: too narrow." in warnings(4)
    assert not any("groups" in warning for warning in warnings(5))


def test_a_class_without_test_clips_has_no_accuracy_and_json_says_null(brief, real, train, test, synthesise):
    kept = (test.labels != 1).nonzero().flatten().tolist()
    less = [dataclasses.replace(c, predictions={"test": c.predictions["test"][:, kept]}) for c in real]
    result = s3_evaluation(brief, "d1", side_of(less, train, of(test, kept)), synthesise)
    assert math.isnan(result.per_class["res"][1])
    found = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert found["per_class"]["res"][1] is None
    assert found["confusion"]["res"][1] == [0, 0, 0]
    assert found["s3"]["mean"] > 0


def test_a_class_without_training_clips_is_refused_by_its_number(brief, real, train, test, synthesise):
    less = of(train, (train.labels != 2).nonzero().flatten().tolist())
    with pytest.raises(ValueError, match=r"tiny needs training clips of each class, got none of \[2\]"):
        s3_evaluation(brief, "d1", side_of(real, less, test), synthesise)


def test_one_class_is_refused(brief, real, train, test, synthesise):
    one, other = (LabelledClips(c.frames, torch.zeros_like(c.labels), 1) for c in (train, test))
    with pytest.raises(ValueError, match="needs at least 2 classes, got 1; use kvd"):
        s3_evaluation(brief, "d1", side_of(real, one, other), synthesise)


def test_s3_is_undefined_and_null_in_json_if_no_real_clip_is_recognised(brief, real, train, test, synthesise):
    wrong = {"test": ((test.labels + 1) % 3).expand(brief.classifier.test_windows, -1)}
    hopeless = [dataclasses.replace(c, predictions=wrong, rer={"test": 0.0}) for c in real]
    result = s3_evaluation(brief, "d1", side_of(hopeless, train, test), synthesise)
    assert math.isnan(result.s3.mean)
    assert any("ReR is 0.0 %, below 90 %" in warning for warning in result.warnings)
    found = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert found["s3"] == {"mean": None, "low": None, "high": None}
    assert found["rer"]["mean"] == 0
    assert found["per_seed"]["s3"] == [None, None]
    assert found["s3_of_guessing"] is None


def test_one_seed_has_no_interval_over_seeds_and_is_compared_with_chance_over_clips(brief, side, parts):
    first = dataclasses.replace(side, classifiers=side.classifiers[:1])
    result = s3_evaluation(brief, "d1", first, RUNGS["noise"](parts))
    assert math.isnan(result.over_seeds["s3"].low)
    assert result.ser == result.bootstrap["ser"]
    assert result.covers == "8 groups of 24 clips"
    assert "one classifier seed: the intervals do not cover the spread over seeds." in result.warnings
    assert any("includes chance" in warning for warning in result.warnings)
    assert result.bootstrap["ser"].low <= 1 / 3


def test_one_test_clip_is_scored_and_has_no_interval_over_clips(brief, real, train, test, synthesise):
    alone = [dataclasses.replace(c, predictions={"test": c.predictions["test"][:, :1]}) for c in real]
    one = dataclasses.replace(of(test, [0]), groups=None)
    result = s3_evaluation(brief, "d1", side_of(alone, train, one), synthesise)
    assert (result.n_test, result.n_groups) == (1, 1), "a clip without a group is its own"
    assert math.isnan(result.bootstrap["ser"].low)
    json.dumps(result.to_json(), allow_nan=False)


def test_copies_among_synthetic_clips_get_a_warning(brief, side, made_of, frames_like_real):
    def collapsed(purpose, labels, seed):
        clips = frames_like_real(purpose, labels, seed)
        return clips[labels] if purpose == "train" else clips  # the first three clips are of class 0, 1 and 2

    result = s3_evaluation(brief, "d1", side, made_of(collapsed))
    assert "only 3 of 48 clips of the synthetic training set differ: the others are copies of them." in result.warnings
    assert not any("synthetic test set" in warning for warning in result.warnings)


def test_clips_of_another_shape_than_the_real_ones_are_refused(brief, side, made_of, frames_like_real):
    smaller = made_of(lambda *asked: frames_like_real(*asked)[:, :, ::2, ::2])
    with pytest.raises(ValueError, match=r"must be 24 of shape \(8, 32, 32, 3\).* got 24 of \(8, 16, 16, 3\)"):
        s3_evaluation(brief, "d1", side, smaller)


def test_a_set_of_fewer_clips_than_labels_is_refused(brief, side, synthesise):
    with pytest.raises(ValueError, match=r"must be 24 of shape .* got 23 of"):
        s3_evaluation(brief, "d1", side, lambda purpose, labels, seed: synthesise(purpose, labels[1:], seed))


def test_a_summary_leaves_out_fields_that_grow_with_the_classes(result):
    assert set(result.to_json()) - set(result.summary()) == {"confusion", "per_class"}
    assert repr(result).startswith(f"S3Result({result.protocol} {result.digest[:6]} on {result.n_test} ")
    assert f"clips: s3 {result.s3.brief}, ser {result.ser.brief}, res " in repr(result)
    assert Interval(0.25, float("nan"), float("nan")).brief == "0.25"


def test_a_look_is_the_accuracy_of_a_real_trained_classifier_on_synthetic_clips(tiny, real, test, synthesise):
    network = real[0].network(tiny)
    frames = all_windows(synthesise("look", test.labels, 9))
    sample_features = features(network, frames, tiny.recipe, "penultimate")
    assert (
        look(tiny, network, sample_features, test.labels)
        == accuracy(predict(network, frames, tiny.recipe), test.labels)
        > 0.9
    )
    assert look(tiny, network, sample_features, (test.labels + 1) % 3) < 0.1

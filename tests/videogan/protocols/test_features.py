"""Scores on features: near their best on real clips, far from it on noise, with warnings about their bias."""

import dataclasses
import json
import math

import pytest
import torch
import torch.nn.functional as F

from tests.builders import real_clips
from videogan.classifiers.fit import features
from videogan.data.clip_set import LabelledClips, all_windows
from videogan.metrics.features import root_mean_square
from videogan.metrics.frechet import frechet_distance, moments
from videogan.metrics.kernel_distance import kernel_distance
from videogan.metrics.seed_interval import seed_interval
from videogan.protocols import features as module
from videogan.protocols.classifier import fit_on_real
from videogan.protocols.features import FeatureProtocol, feature_score, kernel_look, sample_labels
from videogan.protocols.ladder import RUNGS, RealParts, clips_of_labels
from videogan.protocols.s3 import RealSide


@pytest.fixture(scope="module")
def protocol_of(tiny):
    def protocol(metric: str, n_samples: int = 48, n_repeats: int = 2) -> FeatureProtocol:
        return FeatureProtocol(
            name=f"{metric}_tiny",
            metric=metric,
            classifier=tiny,
            n_samples=n_samples,
            n_repeats=n_repeats,
            seeds=(0, 1),
        )

    return protocol


@pytest.fixture(scope="module")
def network(tiny, real):
    return real[0].network(tiny)


@pytest.fixture(scope="module")
def frames_like_real(coloured_frames):
    """Frames from the distribution of the real ones."""
    return lambda purpose, labels, seed: coloured_frames(labels, 1000 + seed)


@pytest.fixture(scope="module")
def synthesise(made_of, frames_like_real):
    return made_of(frames_like_real)


@pytest.fixture(scope="module")
def first(side) -> RealSide:
    """The real side with one classifier, for claims that hold for each."""
    return dataclasses.replace(side, classifiers=side.classifiers[:1])


@pytest.fixture(scope="module")
def score(protocol_of, first):
    def scored(metric: str, synthetic, real=first, **counts):
        return feature_score(protocol_of(metric, **counts), "d1", real, synthetic)

    return scored


def test_the_digest_changes_with_all_that_a_score_depends_on(protocol_of, facts):
    protocol = protocol_of("kvd")
    digest = protocol.digest(facts, "test")
    assert digest == FeatureProtocol(**protocol.model_dump()).digest(facts, "test")
    classifier = protocol.classifier.model_copy(update={"dropout": 0.1})
    changes = (
        {"name": "x"},
        {"metric": "fid"},
        {"n_samples": 49},
        {"n_repeats": 3},
        {"seeds": (0, 2)},
        {"classifier": classifier},
    )
    others = [protocol.model_copy(update=change).digest(facts, "test") for change in changes]
    others.append(protocol.digest(dataclasses.replace(facts, n_clips=(("train", 49),)), "test"))
    others.append(protocol.digest(facts, "select"))
    assert len({digest, *others}) == 1 + len(others)


@pytest.mark.parametrize("metric", ["kvd", "fid", "fvd"])
def test_distances_are_small_for_clips_like_real_ones_and_far_larger_for_noise(metric, score, synthesise, parts):
    alike, noise = score(metric, synthesise), score(metric, RUNGS["noise"](parts))
    assert abs(alike.mean) < 0.25 * noise.mean
    assert abs(alike.real) < 0.25 * noise.mean
    assert alike.real == noise.real, "the floor depends on the data, not on the samples"


def test_the_kernel_distance_of_clips_like_real_ones_has_either_sign(score, synthesise):
    values = score("kvd", synthesise, n_samples=12, n_repeats=12).values
    assert min(values) < 0 < max(values)


def test_distances_are_the_means_over_classifiers_of_all_samples_to_all_scored_clips(
    score, side, real, tiny, coloured_frames, made_of, train, test, held_back
):
    drawn = {}

    @made_of
    def noted(purpose, labels, seed):
        drawn[seed] = coloured_frames(labels, seed)
        return drawn[seed]

    values = {metric: score(metric, noted, side, n_samples=40, n_repeats=1) for metric in ("fid", "fvd", "kvd")}
    assert list(drawn) == [0]
    for metric, layer in (("fid", "penultimate"), ("fvd", "logits"), ("kvd", "penultimate")):
        distances = {"samples": [], "real": []}
        for network in (classifier.network(tiny) for classifier in real):
            fake, scored, other = (
                features(network, frames, tiny.recipe, layer) for frames in (drawn[0], test.frames, held_back.frames)
            )
            fake, scored, other = (part / root_mean_square(scored) for part in (fake, scored, other))
            distances["samples"].append(distance_of(metric, fake, scored))
            distances["real"].append(distance_of(metric, other if metric == "kvd" else other.repeat(2, 1), scored))
        found = values[metric]
        assert found.per_seed == pytest.approx(distances["samples"], rel=1e-4, abs=1e-6)
        assert (found.mean, found.low, found.high) == pytest.approx(seed_interval(found.per_seed))
        expected = seed_interval(distances["real"])
        assert (found.real, found.real_low, found.real_high) == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert (found.n_features, found.n_real) == (fake.shape[1], 24)


@pytest.mark.parametrize(("metric", "layer"), [("kvd", "features"), ("fid", "features"), ("fvd", "forward")])
def test_how_large_a_trained_networks_features_are_changes_no_distance(
    metric, layer, score, synthesise, network, monkeypatch
):
    """By powers of two, which round nothing; weights that are used unchanged keep their unit."""
    found = score(metric, synthesise)
    own = getattr(type(network), layer)
    monkeypatch.setattr(type(network), layer, lambda self, video: 8 * own(self, video))
    assert score(metric, synthesise).values == pytest.approx(found.values, rel=1e-12)
    monkeypatch.setattr(FeatureProtocol, "has_own_unit", False)
    assert abs(score(metric, synthesise).mean) > 10 * abs(found.mean)


def distance_of(metric: str, one: torch.Tensor, other: torch.Tensor) -> float:
    """By the definition, with each real clip twice in Frechet distances: it has two equal windows."""
    if metric == "kvd":
        return kernel_distance(one, other)
    return frechet_distance(*moments(one), *moments(other.repeat(2, 1)))


def test_the_scored_clips_have_frechet_distance_near_zero_and_a_negative_kernel_distance(score, test):
    def same(purpose, labels, seed):
        return test

    twice = LabelledClips(test.frames.repeat(2, 1, 1, 1, 1), test.labels.repeat(2), 3)
    assert score("fid", lambda *asked: twice, n_samples=48).mean == pytest.approx(0, abs=1e-4)
    assert score("kvd", same, n_samples=24).mean < 0


def test_a_copy_of_training_clips_does_not_win_where_they_differ_from_the_scored_ones(score, first, train):
    dark = {name: LabelledClips((0.3 * clips.frames).to(torch.uint8), clips.labels, 3)
            for name, clips in (("scored", first.scored), ("held_back", first.held_back))}  # fmt: skip
    real = dataclasses.replace(first, **dark)
    for metric in ("kvd", "fid"):
        copies, ideal = (
            score(metric, lambda _, labels, seed, clips=clips: clips_of_labels(clips, labels, seed), real, n_samples=24)
            for clips in (train, real.held_back)
        )
        assert copies.mean > 2 * abs(ideal.mean)
        assert copies.real == ideal.real < copies.mean, "what held-back clips score stands beside both"


def test_samples_with_longer_features_than_any_training_clip_are_counted_and_get_a_warning(
    score, network, tiny, train, test, made_of, frames_like_real
):
    def pure(purpose, labels, seed):
        return (255 * (frames_like_real(purpose, labels, seed) > 99)).to(torch.uint8)

    alike, glaring = score("kvd", made_of(frames_like_real)), score("kvd", made_of(pure), n_repeats=1)
    samples = pure("samples", sample_labels(test, 48, 0), 0)
    ours, real = (
        features(network, frames, tiny.recipe, "penultimate").norm(dim=1) for frames in (samples, train.frames)
    )
    assert glaring.outside == (ours > real.max()).double().mean().item() > 0.1 > alike.outside
    assert any(w.startswith(f"{100 * glaring.outside:.0f} % of the samples have longer") for w in glaring.warnings)
    assert not any("longer features" in warning for warning in alike.warnings)


def test_a_repeat_of_the_kernel_distance_compares_one_window_of_each_real_clip(score, side, real, tiny, synthesise):
    frames = side.scored.frames
    longer = [torch.cat([clip, (0.5 * clip[:4]).to(torch.uint8)]) for clip in frames]
    groups = [str(i) for i in range(24)]
    scored = real_clips(longer, side.scored.labels.tolist(), groups, n_frames=8)
    found = score("kvd", synthesise, dataclasses.replace(side, scored=scored), n_samples=24, n_repeats=3)
    windows = [all_windows(scored.spaced(2), draw) for draw in (0, 1)]
    expected = []
    for repeat in range(3):
        samples = all_windows(synthesise("samples", sample_labels(scored, 24, repeat), 24 * repeat))
        distances = []
        for network in (classifier.network(tiny) for classifier in real):
            fake, *both = (features(network, clips, tiny.recipe, "penultimate") for clips in (samples, *windows))
            unit = root_mean_square(torch.stack(both))
            distances.append(kernel_distance(fake / unit, both[repeat % 2] / unit))
        expected.append(sum(distances) / 2)
    assert found.values == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_the_inception_score_is_between_one_and_the_number_of_classes(score, synthesise, parts):
    alike, noise = score("is", synthesise), score("is", RUNGS["noise"](parts))
    assert 1 <= noise.mean < 1.3 < alike.mean <= 3
    assert 1 < alike.real <= 3
    assert alike.n_features == 3


def test_an_inception_score_above_the_real_clips_gets_a_warning(score, made_of, train, network, tiny):
    surest = features(network, train.frames, tiny.recipe, "logits").softmax(1)
    exemplars = torch.stack([surest[:, label].argmax() for label in range(3)])
    result = score("is", made_of(lambda purpose, labels, seed: train.frames[exemplars[torch.arange(len(labels)) % 3]]))
    assert result.mean > result.real
    assert any("the classifier is more certain about samples than about real clips" in w for w in result.warnings)


def test_each_repeat_draws_new_samples_and_labels_and_progress_counts_them(
    protocol_of, first, test, synthesise, monkeypatch
):
    monkeypatch.setattr(module, "SAMPLES_AT_ONCE", 20)
    requests, reported = [], []

    def noted(purpose, labels, seed):
        requests.append((purpose, seed, labels))
        return synthesise(purpose, labels, seed)

    result = feature_score(protocol_of("kvd", n_repeats=3), "d1", first, noted, lambda *counts: reported.append(counts))
    assert {purpose for purpose, _, _ in requests} == {"samples"}
    assert len({seed for _, seed, _ in requests}) == len(requests) == 9, "48 samples by 20, three times: nine seeds"
    assert [len(labels) for _, _, labels in requests] == 3 * [20, 20, 8]
    of_repeat = [torch.cat([labels for _, _, labels in requests[i : i + 3]]) for i in (0, 3, 6)]
    assert all(torch.equal(labels, sample_labels(test, 48, seed)) for seed, labels in enumerate(of_repeat))
    assert not torch.equal(of_repeat[0], of_repeat[1])
    assert reported == [(n, 144) for n in (20, 40, 48, 68, 88, 96, 116, 136, 144)]
    assert len(set(result.values)) == 3


def test_mean_and_spread_are_the_repeats_and_one_repeat_has_no_spread(score, synthesise):
    three, one = score("kvd", synthesise, n_repeats=3), score("kvd", synthesise, n_repeats=1)
    values = torch.tensor(three.values, dtype=torch.float64)
    assert three.mean == pytest.approx(values.mean().item())
    assert three.spread > 0
    assert one.values == three.values[:1]
    assert math.isnan(one.spread)
    assert json.loads(json.dumps(one.to_json(), allow_nan=False))["spread"] is None


def test_a_score_depends_only_on_its_protocol(score, synthesise):
    torch.rand(3)  # other draws must not matter
    assert score("fid", synthesise) == score("fid", synthesise)


def test_singular_covariances_and_unequal_counts_get_warnings(score, first, test, synthesise):
    by_32_features = score("fid", synthesise, n_samples=32).warnings
    assert "32 samples for 32 features: their covariance is singular, the distance biased." in by_32_features
    assert not any("windows for 32 features" in warning for warning in by_32_features)
    assert "biased by the number of clips: 32 samples, but 48 real windows." in by_32_features
    few = dataclasses.replace(first, scored=LabelledClips(test.frames[:12], test.labels[:12], 3))
    of_few = score("fid", synthesise, few, n_samples=40).warnings
    assert "24 real test windows for 32 features: their covariance is singular, the distance biased." in of_few
    assert score("fvd", synthesise, n_samples=48).warnings == []
    assert score("kvd", synthesise, n_samples=32).warnings == []


def test_copies_among_samples_get_a_warning(score, parts):
    result = score("kvd", RUNGS["held-back clips, other windows"](parts))
    assert result.warnings == ["only 24 of 48 samples differ: the others are copies of them."]


@pytest.mark.parametrize("metric", ["is", "fvd"])
def test_metrics_that_need_classes_are_refused_with_one_class(metric, score, first, train, test, synthesise):
    one, other = (LabelledClips(c.frames, torch.zeros_like(c.labels), 1) for c in (train, test))
    with pytest.raises(ValueError, match=f"{metric}_tiny needs a classifier of at least 2 classes, got 1"):
        score(metric, synthesise, dataclasses.replace(first, train=one, scored=other))


def test_random_features_separate_one_class_from_noise(score, tiny, train, test, coloured_frames):
    one, other = (LabelledClips(c.frames, torch.zeros_like(c.labels), 1) for c in (train, test))
    real = RealSide([fit_on_real(tiny, one, {"test": other}, 0)], one, other, "test", one)

    def alike(purpose, labels, seed):
        return LabelledClips(coloured_frames(torch.arange(len(labels)) % 3, 1000 + seed), labels, 1)

    scores = [score("kvd", synthetic, real) for synthetic in (alike, RUNGS["noise"](RealParts(one, other, one)))]
    assert abs(scores[0].mean) < 0.05 * scores[1].mean


def test_one_real_test_clip_has_no_distance(score, first, test, synthesise):
    with pytest.raises(ValueError, match="at least 2"):
        score("kvd", synthesise, dataclasses.replace(first, scored=LabelledClips(test.frames[:1], test.labels[:1], 3)))


def test_clips_of_another_shape_than_the_real_ones_are_refused(score, made_of, frames_like_real):
    with pytest.raises(ValueError, match=r"must be 48 of shape \(8, 32, 32, 3\)"):
        score("kvd", made_of(lambda *asked: frames_like_real(*asked)[:, :, ::2, ::2]))


def clips_labelled(labels: list[int], n_classes: int) -> LabelledClips:
    return LabelledClips(torch.zeros(len(labels), 8, 1, 1, 3, dtype=torch.uint8), torch.tensor(labels), n_classes)


def test_labels_of_samples_have_the_frequencies_of_the_scored_clips():
    train, n = clips_labelled([0] * 5 + [1] * 3 + [3] * 2, 4), 10_000
    labels = sample_labels(train, n, seed=0)
    for label, p in enumerate((0.5, 0.3, 0.0, 0.2)):
        assert (labels == label).double().mean() == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / n))
    assert torch.equal(labels, sample_labels(train, n, seed=0))
    assert not torch.equal(labels, sample_labels(train, n, seed=1))


def test_labels_of_samples_leave_the_kernel_distance_unbiased():
    train = clips_labelled([0, 1, 2] * 200, 3)
    perfect = F.one_hot(train.labels).float()
    distances = torch.tensor(
        [kernel_distance(F.one_hot(sample_labels(train, 9, seed), 3).float(), perfect) for seed in range(225)]
    )
    error = distances.std() / 15
    assert abs(distances.mean()) < 3 * error
    in_equal_shares = kernel_distance(perfect[:9], perfect)
    assert in_equal_shares < -6 * error, "the biased distance of a perfect generator if labels had exact shares"


def test_a_look_at_the_distance_is_larger_for_better_clips(tiny, network, train, test, synthesise):
    real_features = features(network, train.frames, tiny.recipe, "penultimate")
    samples = all_windows(synthesise("look", test.labels, 5)).float()
    fading = [(samples * (1 - by) + 110 * by).to(torch.uint8) for by in (0.0, 0.3, 0.6)]
    looks = [kernel_look(features(network, rung, tiny.recipe, "penultimate"), real_features) for rung in fading]
    assert looks[0] > looks[1] > looks[2]
